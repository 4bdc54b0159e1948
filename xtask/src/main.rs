//! The project's developer commands: `cargo xtask --help`.

mod checks;
mod run;

use clap::{Parser, Subcommand};

/// Developer commands of ttsfleet.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run all tests: lints, unit tests, a real API server, the local cluster.
    Test,
    /// Write the files that are derived from code: CRDs and the error table.
    Generate,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Test => checks::all(),
        Command::Generate => checks::generate(),
    }
}
