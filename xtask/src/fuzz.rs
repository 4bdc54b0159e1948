//! `cargo xtask fuzz`: looks for inputs that break what must hold for any.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;
use ttsfleet_e2e::tools::cache_dir;

use crate::programs::ensure;
use crate::run::{root, run};

/// What `cargo xtask fuzz` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to feed.
    target: Target,
    /// For how long, in seconds, once it is built.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Target {
    /// Texts with pronunciations.
    Lexicon,
    /// Texts with marks of Markdown and HTML.
    Markdown,
    /// Bodies of requests.
    Request,
    /// Texts with marks of SSML.
    Ssml,
}

/// Feeds one target. What breaks it is kept in `fuzz/artifacts`, what leads
/// further in `fuzz/corpus`.
pub(crate) fn fuzz(options: &Options) -> Result<()> {
    let program = ensure("cargo-fuzz", "0.13.2", &[])?;
    let target = format!("{:?}", options.target).to_lowercase();
    let folder = root().join("fuzz");
    let corpus = folder.join("corpus").join(&target);
    std::fs::create_dir_all(&corpus)?;
    let mut command = Command::new(program);
    // The sanitisers need a nightly compiler; what is sought here panics, or hangs.
    command.args(["run", &target, "--sanitizer", "none", "--fuzz-dir"]).arg(&folder);
    command
        .arg("--target-dir")
        .arg(cache_dir()?.join("fuzz"))
        .arg(corpus)
        .arg(folder.join("seeds").join(&target));
    command.args(["--", "-max_len=4096", "-timeout=5", &format!("-max_total_time={}", options.seconds)]);
    run(command.current_dir(root()))
}
