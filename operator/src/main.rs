//! Entry point: arguments and logging, then [`ttsfleet_operator::run`].

use clap::Parser;
use ttsfleet_operator::{args::Args, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    run::logging(args.log_format)?;
    run::run(args).await
}
