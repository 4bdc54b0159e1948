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
mod closed;
#[path = "../../load.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod load;
mod proxies;
mod report;

use std::time::Duration;

use anyhow::Result;
use bench_options::BenchOptions;
use clap::Parser;
use load::{Sample, steady};
use proxies::Proxy;
use report::{Figures, Run};
use ttsfleet_e2e::progress::Console;

/// Loads, in parts of the slowest proxy's knee.
const LEVELS: [f64; 4] = [0.1, 0.3, 0.5, 0.7];
const ROUNDS: usize = 3;
const RUN_FOR: Duration = Duration::from_secs(4);
const TEXT: &str = "Please call me back tomorrow morning before nine.";

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
}

fn main() -> Result<()> {
    let options = Options::parse();
    proxies::keep_to_second_core()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _addresses = backend::Addresses::add()?;
    runtime.spawn(backend::serve());
    let mut direct = Figures::new("no proxy", 0);
    let mut started = Vec::new();
    for proxy in proxies::start_all(&Console::default())? {
        let figures = Figures::new(proxy.name, proxy.memory());
        started.push((proxy, figures));
    }
    runtime.block_on(async {
        for (proxy, figures) in &mut started {
            figures.knee = closed::knee(&proxy.url).await;
            println!("  {}: at most {:.0} requests a second", proxy.name, figures.knee);
        }
        let knee = started.iter().map(|(_, figures)| figures.knee).fold(f64::INFINITY, f64::min);
        for round in 0..ROUNDS {
            for (number, level) in LEVELS.iter().enumerate() {
                println!("  round {} of {ROUNDS}, {:.0} % of the slowest knee", round + 1, level * 100.0);
                let rate = knee * level;
                direct.add(number, Run { samples: shoot(&backend::url(), rate).await, cpu: Duration::ZERO });
                for (proxy, figures) in &mut started {
                    figures.add(number, measure(proxy, rate).await);
                }
            }
        }
    });
    for (proxy, figures) in &mut started {
        figures.memory_after = proxy.memory();
    }
    let figures: Vec<Figures> = started.into_iter().map(|(_, figures)| figures).collect();
    println!("\n{}", report::table(&direct, &figures));
    options.common.write(&report::json(&direct, &figures))
}

async fn measure(proxy: &Proxy, rate: f64) -> Run {
    let before = proxy.cpu();
    let samples = shoot(&proxy.url, rate).await;
    Run { samples, cpu: proxy.cpu().saturating_sub(before) }
}

async fn shoot(url: &str, rate: f64) -> Vec<Sample> {
    let shots = steady(0.0, RUN_FOR.as_secs_f64(), rate, || TEXT.to_owned());
    load::run_keeping_connections(url, shots).await
}
