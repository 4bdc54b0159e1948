//! How fast the operator is: from apply to first audio on a real cluster, and
//! 1,000 fleets beside the raw write rate of the same API server.
//!
//! `cargo xtask bench fleet [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod first_audio;
mod thousand;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use ttsfleet_e2e::product::build_images;
use ttsfleet_e2e::progress::Console;

#[derive(Parser)]
struct Options {
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How many fleets the second part makes.
    #[arg(long, default_value_t = 1000)]
    fleets: usize,
    /// How often the first part is run.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// What `cargo bench` adds by itself.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let images = build_images(&Console::default())?;
    let thousand = thousand::measure(options.fleets)?;
    let first_audio = first_audio::measure(&images, options.runs)?;
    if let Some(file) = options.json {
        let figures = json!({"firstAudio": first_audio, "thousand": thousand});
        std::fs::write(&file, serde_json::to_vec_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
