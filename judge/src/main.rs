//! The judge's program.

use std::process::ExitCode;

use clap::Parser;
use ttsfleet_judge::{config::Args, run::run};
use ttsfleet_serving::logging;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    logging::init(args.log_format);
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the judge cannot run");
            ExitCode::FAILURE
        }
    }
}
