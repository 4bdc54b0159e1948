//! The judge's program.

use std::{io, process::ExitCode};

use clap::Parser;
use ttsfleet_judge::{config::Args, run::run};
use ttsfleet_serving::logging;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let _logging = logging::init(args.log_format)?;
    Ok(match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the judge cannot run");
            ExitCode::FAILURE
        }
    })
}
