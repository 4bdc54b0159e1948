//! How fast the operator is: from apply to first audio on a real cluster, and
//! 1,000 fleets beside the raw write rate of the same API server.
//!
//! `cargo xtask bench fleet [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../bench_options.rs"]
mod bench_options;
mod first_audio;
mod thousand;

use anyhow::Result;
use bench_options::BenchOptions;
use clap::Parser;
use serde_json::json;
use ttsfleet_e2e::product::build_images;
use ttsfleet_e2e::progress::Console;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
    /// How many fleets the second part makes.
    #[arg(long, default_value_t = 1000)]
    fleets: usize,
    /// How often the first part is run.
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let images = build_images(&Console::default())?;
    let thousand = thousand::measure(options.fleets)?;
    let first_audio = first_audio::measure(&images, options.runs)?;
    options.common.write(&json!({"firstAudio": first_audio, "thousand": thousand}))
}
