//! The project's developer commands: `cargo xtask --help`.

mod bench;
mod checks;
mod demo;
mod deny;
mod fuzz;
mod programs;
mod run;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::progress::Console;

/// Name of the cluster that the end-to-end tests use.
const TEST_CLUSTER: &str = "test";

/// Developer commands of ttsfleet.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring up a cluster if there is none, install ttsfleet and make it speak.
    Demo(demo::Options),
    /// Print the lines that give a shell the demo cluster's kubectl and helm.
    Env,
    /// Remove the demo's local cluster and everything in it.
    Down {
        /// Remove the cluster that single end-to-end tests leave for the next run.
        #[arg(long)]
        tests: bool,
    },
    /// Run all tests: lints, unit tests, a real API server, the local cluster.
    Test,
    /// Write the files that are derived from code: CRDs and the error table.
    Generate,
    /// Look for inputs that break what must hold for any.
    Fuzz(fuzz::Options),
    /// Measure, and print a table.
    Bench(bench::Options),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Demo(options) => demo::demo(&options),
        Command::Env => env(),
        Command::Down { tests } => down(if tests { TEST_CLUSTER } else { demo::CLUSTER }),
        Command::Test => checks::all(),
        Command::Generate => checks::generate(),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Bench(options) => bench::bench(&options),
    }
}

#[expect(clippy::print_stdout, reason = "the shell evaluates it")]
fn env() -> Result<()> {
    let Some(cluster) = Cluster::find(demo::CLUSTER)? else {
        bail!("no demo cluster is running; `cargo xtask demo` starts one");
    };
    print!("{}", cluster.env_lines());
    Ok(())
}

fn down(cluster: &str) -> Result<()> {
    Cluster::down(cluster, &Console::default())?;
    Ok(())
}
