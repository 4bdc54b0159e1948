//! The incident again: long texts among short ones, a burst beyond what the
//! pods can do, a pod that hangs and one that is killed. First against bare
//! pods, then against fleets of the same pods.
//!
//! `cargo xtask bench storm [--json FILE] [--picture FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../bench_options.rs"]
mod bench_options;
#[path = "../../closed.rs"]
mod closed;
#[path = "../../load.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod load;
mod picture;
mod report;
mod sides;
mod texts;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench_options::BenchOptions;
use clap::Parser;
use closed::{capacity, one, runtime};
use load::{Sample, steady};
use report::Figures;
use serde_json::json;
use sides::{NAMESPACE, Side};
use texts::Texts;
use ttsfleet_e2e::cluster::{Cluster, PodSignal};
use ttsfleet_e2e::product::{build_images, install};
use ttsfleet_e2e::progress::Console;

const CLUSTER: &str = "bench";

/// Seconds of the storm's parts.
const CALM: f64 = 15.0;
const BURST: f64 = 30.0;
const HANG: f64 = 36.0;
const HANG_FOR: Duration = Duration::from_secs(8);
const KILL: f64 = 52.0;
const END: f64 = 65.0;

/// Load before and after the burst, and in it, in parts of what the pods can do.
const USUAL: f64 = 0.4;
const PEAK: f64 = 3.0;
/// Requests that tell how long one takes when there is no other.
const UNLOADED: usize = 60;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
    /// Also draw the storm into this SVG file.
    #[arg(long)]
    picture: Option<PathBuf>,
}

/// What one side came to.
struct Stormed {
    figures: Figures,
    samples: Vec<Sample>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let images = build_images(&Console::default())?;
    let cluster = Cluster::up(CLUSTER, &Console::default())?;
    install(&cluster, &images)?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    let measured = measure(&cluster, &images.inference.reference);
    Cluster::down(CLUSTER, &Console::default())?;
    let (rate, stormed) = measured?;
    let (figures, samples): (Vec<_>, Vec<_>) =
        stormed.into_iter().map(|one| (one.figures, one.samples)).unzip();
    println!("\n{}", report::table(rate, &figures));
    if let Some(file) = &options.picture {
        let names = figures.iter().map(|figures| figures.side.to_owned());
        let drawn = picture::svg(&names.zip(samples).collect::<Vec<_>>());
        std::fs::write(file, drawn).with_context(|| format!("cannot write {}", file.display()))?;
    }
    options.common.write(&json!({"requestsPerSecond": rate, "sides": figures}))
}

/// What the pods can do, in requests a second, and what became of each side.
fn measure(cluster: &Cluster, image: &str) -> Result<(f64, Vec<Stormed>)> {
    let mut stormed = Vec::new();
    let mut rate = None;
    for side in [Side::Bare, Side::NoQueue, Side::Defaults] {
        let url = side.start(cluster, image)?;
        let unloaded = unloaded(&url);
        // The same load for both, told from the first.
        let rate = *rate.get_or_insert_with(|| sides::PODS / mean(&unloaded));
        let capacity = capacity(&url, None, Texts::from);
        println!("  {}: storm of up to {:.1} requests a second", side.name(), rate * PEAK);
        let samples = storm(cluster, side, &url, rate)?;
        let kills = side.memory_kills(cluster)?;
        side.stop(cluster)?;
        let figures = Figures::new(side.name(), capacity, &unloaded, &samples, kills);
        stormed.push(Stormed { figures, samples });
    }
    Ok((rate.unwrap_or_default(), stormed))
}

/// Requests one after the other, but for the first, which may meet a Service that
/// not every node knows yet.
fn unloaded(url: &str) -> Vec<Sample> {
    Texts::new().take(UNLOADED + 1).map(|text| one(url, None, text)).skip(1).collect()
}

/// Seconds from a request to the end of its audio.
fn mean(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.total.as_secs_f64()).sum::<f64>() / samples.len() as f64
}

fn storm(cluster: &Cluster, side: Side, url: &str, rate: f64) -> Result<Vec<Sample>> {
    let mut texts = Texts::new();
    let mut shots = steady(0.0, CALM, rate * USUAL, || texts.next().unwrap());
    shots.extend(steady(CALM, BURST, rate * PEAK, || texts.next().unwrap()));
    shots.extend(steady(BURST, END, rate * USUAL, || texts.next().unwrap()));
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let samples = scope.spawn(|| runtime().block_on(load::run(url, shots)));
        let wait_for = |second: f64| {
            std::thread::sleep(Duration::from_secs_f64(second).saturating_sub(begun.elapsed()));
        };
        wait_for(HANG);
        let pod = side.pod(cluster)?;
        strike(cluster, side, &pod, PodSignal::Freeze)?;
        std::thread::sleep(HANG_FOR);
        strike(cluster, side, &pod, PodSignal::Thaw)?;
        wait_for(KILL);
        strike(cluster, side, &side.pod(cluster)?, PodSignal::Kill)?;
        Ok(samples.join().unwrap())
    })
}

/// Signals a pod. A bare one may just have been killed by the storm itself.
fn strike(cluster: &Cluster, side: Side, pod: &str, signal: PodSignal) -> Result<()> {
    match cluster.signal_pod(NAMESPACE, pod, signal) {
        Err(error) if side == Side::Bare => {
            println!("  {}: {error:#}", side.name());
            Ok(())
        }
        done => done,
    }
}
