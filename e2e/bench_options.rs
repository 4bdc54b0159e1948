//! What every benchmark takes and gives.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

/// What every benchmark takes.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchOptions {
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// What `cargo bench` adds by itself.
    #[arg(long, hide = true)]
    bench: bool,
}

impl BenchOptions {
    /// Writes the figures where they are wanted.
    pub(crate) fn write(&self, figures: &impl Serialize) -> Result<()> {
        let Some(file) = &self.json else { return Ok(()) };
        std::fs::write(file, serde_json::to_vec_pretty(figures)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }
}
