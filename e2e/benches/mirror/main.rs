//! What callers notice of a judge that a share of their requests is passed on to,
//! while it takes them, is gone, hangs or is slow: a gateway for each, one core for
//! it, the other for everything else, runs interleaved. One without a mirror is
//! measured twice, which tells how far two runs of the same differ.
//!
//! `cargo xtask bench mirror [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../gateway/backend.rs"]
mod backend;
#[path = "../../bench_options.rs"]
mod bench_options;
#[path = "../gateway/callers.rs"]
mod callers;
mod judges;
#[path = "../gateway/level.rs"]
mod level;
#[path = "../gateway/ours.rs"]
mod ours;
#[path = "../gateway/process.rs"]
mod process;
mod report;

use std::time::Duration;

use anyhow::Result;
use bench_options::BenchOptions;
use callers::Callers;
use clap::Parser;
use judges::CASES;
use process::Proxy;
use report::Figures;
use ttsfleet_e2e::control_plane::{self, ControlPlane};
use ttsfleet_e2e::product;
use ttsfleet_e2e::progress::Console;

/// Requests a second. The first is a busy fleet; the second a tenth of what one
/// core can pass on.
const RATES: [f64; 2] = [300.0, 3000.0];
const ROUNDS: usize = 10;
const RUN_FOR: Duration = Duration::from_secs(3);

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (runtime, _addresses) = backend::start()?;
    runtime.spawn(judges::serve());
    let console = Console::default();
    let server = ControlPlane::start(control_plane::Options::default(), &console)?;
    ours::apply(&server, &judges::objects())?;
    let binary = product::gateway_binary(&console)?;
    let gateways = CASES.iter().enumerate().map(|(number, case)| {
        let ports = [18080, 18090].map(|first| first + number as u16);
        let gateway = ours::start(case.name, &binary, &server, &case.route(), ports)?;
        process::wait_ready(&gateway)?;
        Ok((gateway, ports[1]))
    });
    let gateways: Vec<(Proxy, u16)> = gateways.collect::<Result<_>>()?;
    let figures = runtime.block_on(runtime.spawn(measure(gateways)))?;
    println!("\n{}", report::table(&figures));
    options.common.write(&report::json(&figures))
}

async fn measure(gateways: Vec<(Proxy, u16)>) -> Vec<Figures> {
    let mut figures: Vec<Figures> = gateways.iter().map(|(gateway, _)| Figures::new(gateway.name)).collect();
    for round in 0..ROUNDS {
        println!("  round {} of {ROUNDS}", round + 1);
        for (number, rate) in RATES.into_iter().enumerate() {
            for ((gateway, _), figures) in gateways.iter().zip(&mut figures) {
                let before = gateway.cpu();
                let latencies = Callers::of(gateway.address).shoot(rate, RUN_FOR).await;
                figures.levels[number].add(latencies, gateway.cpu().saturating_sub(before));
            }
        }
    }
    for ((gateway, health), figures) in gateways.iter().zip(&mut figures) {
        figures.memory = gateway.memory();
        figures.mirrored = judges::mirrored(*health).unwrap();
    }
    figures
}
