//! A thousand swaps of the voice in one server process under load, and models
//! staged over HTTP beside a plain copy of the same bytes.
//!
//! `cargo xtask bench swap [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../../e2e/bench_options.rs"]
mod bench_options;
#[path = "../../../e2e/load.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod load;
mod server;
mod staging;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench_options::BenchOptions;
use clap::Parser;
use load::{Outcome, Sample, percentile, steady};
use serde::Serialize;
use server::{SPEECH, Server, write_voice};
use staging::Staging;
use ttsfleet_e2e::product::inference_binary;
use ttsfleet_e2e::progress::Console;
use ttsfleet_wire::model::ModelRecord;

const ROUNDS: usize = 10;
const SWAPS: usize = 100;
/// Seconds of each round without swaps.
const QUIET: f64 = 20.0;
/// Seconds of load started at a time while swaps go on.
const STRETCH: f64 = 5.0;
/// Requests a second, a quarter of what two cores can do.
const RATE: f64 = 4.0;
const TEXT: &str =
    "The old bridge was closed because of the heavy rain. Please call me back tomorrow morning.";

#[derive(Parser)]
struct Options {
    /// Speech server to measure, instead of building one.
    #[arg(long)]
    server: Option<PathBuf>,
    #[command(flatten)]
    common: BenchOptions,
}

/// Times are in milliseconds, memory is in MiB.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    swaps: usize,
    requests: usize,
    failed: usize,
    refused: usize,
    quiet: Latency,
    swapping: Latency,
    p99_ratio: f64,
    /// Round trip of an order that only flips, and of one that does nothing.
    flip: Latency,
    nothing: Latency,
    load: f64,
    warm_up: f64,
    /// Anonymous memory before the first swap, and after each round.
    memory: Vec<f64>,
    /// Times that a freed model's memory was missed, and the most of it.
    unreturned_times: usize,
    unreturned_most: f64,
    staging: Staging,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

impl Latency {
    fn of(times: &mut [Duration]) -> Self {
        let (p50, p99) = (milliseconds(percentile(times, 50.0)), milliseconds(percentile(times, 99.0)));
        Self { p50, p99 }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let binary = match &options.server {
        Some(binary) => binary.clone(),
        None => inference_binary(&Console::default())?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let figures = runtime.block_on(async {
        let swapping = swap_under_load(&binary).await?;
        let staging = staging::measure(&binary).await?;
        anyhow::Ok(swapping.figures(staging))
    })?;
    print(&figures);
    options.common.write(&figures)
}

/// What is seen of a server that swaps.
#[derive(Default)]
struct Seen {
    quiet: Vec<Sample>,
    swapping: Vec<Sample>,
    flips: Vec<Duration>,
    nothing: Vec<Duration>,
    loads: Vec<Duration>,
    warm_ups: Vec<Duration>,
    memory: Vec<f64>,
    unreturned: Vec<f64>,
}

async fn swap_under_load(binary: &Path) -> Result<Seen> {
    let folder = tempfile::tempdir()?;
    let voices = ["1", "2"].map(|version| write_voice(&folder.path().join(version), version).unwrap());
    let server = Server::start(binary, folder.path(), &voices[0]).await?;
    let mut seen = Seen::default();
    // Both have been spoken with before anything is measured.
    for voice in [&voices[1], &voices[0]] {
        load::run(&server.speech_url(), steady(0.0, STRETCH, RATE, || TEXT.to_owned())).await;
        server.swap(voice).await?;
        server.free().await?;
    }
    seen.memory.push(server.memory_mib());
    for round in 1..=ROUNDS {
        println!("  round {round} of {ROUNDS}: {:.0} MiB", seen.memory.last().unwrap());
        seen.quiet
            .extend(load::run(&server.speech_url(), steady(0.0, QUIET, RATE, || TEXT.to_owned())).await);
        let stop = Arc::new(AtomicBool::new(false));
        let load = tokio::spawn(load_until(Arc::clone(&stop)));
        for number in 0..SWAPS {
            one_swap(&server, &voices[(number + 1) % 2], &mut seen).await?;
        }
        stop.store(true, Relaxed);
        seen.swapping.extend(load.await?);
        seen.memory.push(server.memory_mib());
    }
    let status = server.status().await?;
    ensure!(status.error.is_none() && status.failed_loads == 0, "a swap failed: {:?}", status.error);
    Ok(seen)
}

async fn load_until(stop: Arc<AtomicBool>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !stop.load(Relaxed) {
        let shots = steady(0.0, STRETCH, RATE, || TEXT.to_owned());
        samples.extend(load::run(&format!("http://{SPEECH}"), shots).await);
    }
    samples
}

/// Loads and serves the other version, goes back and forth once, and frees.
async fn one_swap(server: &Server, voice: &ModelRecord, seen: &mut Seen) -> Result<()> {
    let loaded = server.swap(voice).await?;
    seen.loads.push(Duration::from_millis(loaded.timing.load_ms));
    seen.warm_ups.push(Duration::from_millis(loaded.timing.warm_up_ms));
    for (verb, times) in [("revert", &mut seen.flips), ("revert", &mut seen.nothing)] {
        let begun = Instant::now();
        server.tell(verb).await?;
        times.push(begun.elapsed());
    }
    server.swap(voice).await?;
    seen.unreturned.push(server.free().await? as f64 / f64::from(1 << 20));
    Ok(())
}

impl Seen {
    fn figures(mut self, staging: Staging) -> Figures {
        let all = || self.quiet.iter().chain(&self.swapping);
        let spoken = |sample: &&Sample| matches!(sample.outcome, Outcome::Spoken { .. });
        let refused = all().filter(|sample| matches!(sample.outcome, Outcome::Refused { .. })).count();
        let first = |samples: &[Sample]| {
            let mut times: Vec<_> = samples.iter().filter(spoken).map(|sample| sample.first).collect();
            Latency::of(&mut times)
        };
        let (quiet, swapping) = (first(&self.quiet), first(&self.swapping));
        let missed = self.unreturned.iter().filter(|mib| **mib > 0.0);
        Figures {
            swaps: self.loads.len(),
            requests: all().count(),
            failed: all().count() - all().filter(spoken).count() - refused,
            refused,
            p99_ratio: swapping.p99 / quiet.p99,
            unreturned_times: missed.count(),
            unreturned_most: self.unreturned.iter().copied().fold(0.0, f64::max),
            quiet,
            swapping,
            flip: Latency::of(&mut self.flips),
            nothing: Latency::of(&mut self.nothing),
            load: milliseconds(percentile(&mut self.loads, 50.0)),
            warm_up: milliseconds(percentile(&mut self.warm_ups, 50.0)),
            memory: self.memory,
            staging,
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn print(figures: &Figures) {
    let Figures { swaps, requests, failed, refused, quiet, swapping, p99_ratio, flip, nothing, .. } = figures;
    println!("\n{swaps} swaps, {requests} requests: {failed} failed, {refused} refused");
    println!("{:<34}{:>10}{:>10}", "milliseconds", "p50", "p99");
    for (name, Latency { p50, p99 }) in [
        ("first audio without swaps", quiet),
        ("first audio with swaps", swapping),
        ("an order that flips, round trip", flip),
        ("one that does nothing", nothing),
    ] {
        println!("{name:<34}{p50:>10.2}{p99:>10.2}");
    }
    println!("p99 with swaps is {p99_ratio:.2} times that without");
    println!("loading takes {:.0} ms, warming up {:.0} ms (p50)", figures.load, figures.warm_up);
    let memory: Vec<String> = figures.memory.iter().map(|mib| format!("{mib:.0}")).collect();
    println!("anonymous memory, MiB, before and after each {SWAPS} swaps: {}", memory.join(" "));
    println!(
        "freed models whose memory was missed: {}, at most {:.1} MiB",
        figures.unreturned_times, figures.unreturned_most
    );
    figures.staging.print();
}
