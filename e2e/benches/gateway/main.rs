//! What the gateway adds to a request, beside HAProxy, nginx and Envoy: the
//! same backend, one core for the proxy, the other for everything else, runs
//! interleaved.
//!
//! `cargo xtask bench gateway [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod backend;
#[path = "../../bench_options.rs"]
mod bench_options;
mod callers;
mod closed;
mod level;
mod ours;
mod process;
mod proxies;
mod report;

use std::time::Duration;

use anyhow::Result;
use backend::{PODS, PORTS};
use bench_options::BenchOptions;
use callers::Callers;
use clap::Parser;
use process::Proxy;
use report::Figures;
use ttsfleet_e2e::control_plane::{self, ControlPlane};
use ttsfleet_e2e::progress::Console;

/// Loads, in parts of the slowest proxy's knee.
const LEVELS: [f64; 4] = [0.1, 0.3, 0.5, 0.7];
const ROUNDS: usize = 3;
const RUN_FOR: Duration = Duration::from_secs(4);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (runtime, _addresses) = backend::start()?;
    let console = Console::default();
    let server = ControlPlane::start(control_plane::Options::default(), &console)?;
    let started = proxies::start_all(&server, &console)?;
    let (direct, figures) = runtime.block_on(runtime.spawn(measure_all(started)))?;
    println!("\n{}", report::table(&direct, &figures));
    options.common.write(&report::json(&direct, &figures))
}

/// What it takes without a proxy, and with each.
async fn measure_all(proxies: Vec<Proxy>) -> (Figures, Vec<Figures>) {
    let mut direct = Figures::new("no proxy", 0);
    let pod = Callers::of((PODS[0], PORTS[0]).into());
    let callers: Vec<Callers> = proxies.iter().map(|proxy| Callers::of(proxy.address)).collect();
    let mut figures: Vec<Figures> =
        proxies.iter().map(|proxy| Figures::new(proxy.name, proxy.memory())).collect();
    for (callers, figures) in callers.iter().zip(&mut figures) {
        figures.knee = closed::knee(callers).await;
        println!("  {}: at most {:.0} requests a second", figures.name, figures.knee);
    }
    let knee = figures.iter().map(|figures| figures.knee).fold(f64::INFINITY, f64::min);
    for round in 0..ROUNDS {
        for (number, level) in LEVELS.iter().enumerate() {
            println!("  round {} of {ROUNDS}, {:.0} % of the slowest knee", round + 1, level * 100.0);
            let rate = knee * level;
            direct.add(number, pod.shoot(rate, RUN_FOR).await, Duration::ZERO);
            for ((proxy, callers), figures) in proxies.iter().zip(&callers).zip(&mut figures) {
                let before = proxy.cpu();
                let latencies = callers.shoot(rate, RUN_FOR).await;
                figures.add(number, latencies, proxy.cpu().saturating_sub(before));
            }
        }
    }
    for (proxy, figures) in proxies.iter().zip(&mut figures) {
        figures.memory_after = proxy.memory();
    }
    (direct, figures)
}
