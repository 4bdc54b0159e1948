//! One speech server with 16, 8 and 4 synthesis threads under the same load.
//!
//! `cargo xtask bench workers [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../bench_options.rs"]
mod bench_options;
#[path = "../../load.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod load;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_options::BenchOptions;
use clap::Parser;
use load::{Outcome, Sample, percentile, steady};
use serde::Serialize;
use ttsfleet_e2e::product::inference_binary;
use ttsfleet_e2e::progress::Console;

const WORKERS: [u16; 3] = [16, 8, 4];
const ROUNDS: usize = 3;
const SECONDS: f64 = 15.0;
/// Requests a second: more than two cores can do, so that threads compete and
/// some requests are refused.
const RATE: f64 = 20.0;
const TEXT: &str =
    "The old bridge was closed because of the heavy rain. Please call me back tomorrow morning.";
const ADDRESS: &str = "127.0.0.1:18100";
const HEALTH: &str = "127.0.0.1:18101";

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
}

/// What one number of threads came to. Times are in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    workers: u16,
    spoken: usize,
    refused: usize,
    failed: usize,
    mean: f64,
    p99: f64,
    peak_memory_mib: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let binary = inference_binary(&Console::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut runs: Vec<(u16, Vec<Sample>, f64)> = WORKERS.map(|workers| (workers, Vec::new(), 0.0)).into();
    for round in 1..=ROUNDS {
        for (workers, samples, peak) in &mut runs {
            println!("  round {round} of {ROUNDS}, {workers} threads");
            let server = Server::start(&binary, *workers)?;
            let shots = steady(0.0, SECONDS, RATE, || TEXT.to_owned());
            samples.extend(runtime.block_on(load::run(&format!("http://{ADDRESS}"), shots)));
            *peak = peak.max(server.peak_memory());
        }
    }
    let figures: Vec<Figures> =
        runs.into_iter().map(|(workers, samples, peak)| figures(workers, &samples, peak)).collect();
    println!(
        "\n{:>8}{:>9}{:>9}{:>9}{:>10}{:>10}{:>12}",
        "threads", "spoken", "refused", "failed", "mean, ms", "p99, ms", "peak, MiB"
    );
    for one in &figures {
        let Figures { workers, spoken, refused, failed, mean, p99, peak_memory_mib } = one;
        println!(
            "{workers:>8}{spoken:>9}{refused:>9}{failed:>9}{mean:>10.0}{p99:>10.0}{peak_memory_mib:>12.0}"
        );
    }
    options.common.write(&figures)
}

fn figures(workers: u16, samples: &[Sample], peak_memory_mib: f64) -> Figures {
    let spoken = samples.iter().filter(|sample| matches!(sample.outcome, Outcome::Spoken { .. }));
    let mut times: Vec<Duration> = spoken.map(|sample| sample.total).collect();
    let refused = samples.iter().filter(|sample| matches!(sample.outcome, Outcome::Refused { .. })).count();
    let total: Duration = times.iter().sum();
    Figures {
        workers,
        spoken: times.len(),
        refused,
        failed: samples.len() - times.len() - refused,
        mean: total.as_secs_f64() * 1000.0 / times.len().max(1) as f64,
        p99: percentile(&mut times, 99.0).as_secs_f64() * 1000.0,
        peak_memory_mib,
    }
}

/// A speech server as a process of this machine.
struct Server(Child);

impl Server {
    fn start(binary: &Path, workers: u16) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["--listen", ADDRESS, "--health-listen", HEALTH, "--workers", &workers.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self(command.spawn().context("cannot start the speech server")?);
        let begun = Instant::now();
        while ureq::get(format!("http://{HEALTH}/readyz")).call().is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("the speech server is not ready after 20 s");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Most memory that was resident so far, in MiB.
    fn peak_memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: f64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        kib / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
