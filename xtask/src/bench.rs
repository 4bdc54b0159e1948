//! `cargo xtask bench`.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::run::{cargo, run};

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to measure.
    subject: Subject,
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Storm only: also draw it into this SVG file.
    #[arg(long)]
    picture: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    /// What a caller at ten times its share costs the others.
    Fairness,
    /// From apply to first audio, and 1,000 fleets beside the raw write rate.
    Fleet,
    /// The gateway beside HAProxy, nginx and Envoy.
    Gateway,
    /// How well the judge tells voices apart.
    Judge,
    /// What callers notice of a candidate that is gone, hangs or is slow.
    Mirror,
    /// The incident again: bare pods, and a fleet of the same pods.
    Storm,
    /// A thousand swaps under load, and staging beside a plain copy.
    Swap,
    /// The built-in voice beside onnxruntime with the same weights.
    Voice,
    /// A speech server with 16, 8 and 4 synthesis threads.
    Workers,
}

/// Runs one benchmark.
pub(crate) fn bench(options: &Options) -> Result<()> {
    let (package, name) = match options.subject {
        Subject::Fairness => ("ttsfleet-e2e", "fairness"),
        Subject::Fleet => ("ttsfleet-e2e", "fleet"),
        Subject::Gateway => ("ttsfleet-e2e", "gateway"),
        Subject::Judge => ("ttsfleet-judge", "judge"),
        Subject::Mirror => ("ttsfleet-e2e", "mirror"),
        Subject::Storm => ("ttsfleet-e2e", "storm"),
        Subject::Workers => ("ttsfleet-e2e", "workers"),
        Subject::Swap => ("ttsfleet-inference", "swap"),
        Subject::Voice => ("ttsfleet-models", "voice"),
    };
    let mut command = cargo(&["bench", "--package", package, "--bench", name, "--"]);
    if let Some(file) = &options.json {
        command.arg("--json").arg(std::path::absolute(file)?);
    }
    if let Some(file) = &options.picture {
        command.arg("--picture").arg(std::path::absolute(file)?);
    }
    run(&mut command)
}
