//! The gateway's program.

use std::{io, process::ExitCode, thread::available_parallelism};

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use ttsfleet_gateway::{config::Args, run::run};
use ttsfleet_serving::{logging, traces};

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let _logging = logging::init(args.log_format)?;
    let ended = runtime()
        .map_err(|error| format!("cannot start the runtime: {error}"))
        .and_then(|runtime| runtime.block_on(serve(&args)));
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "the gateway cannot run");
            ExitCode::FAILURE
        }
    })
}

async fn serve(args: &Args) -> Result<(), String> {
    traces::start(env!("CARGO_PKG_NAME"), &args.traces)?;
    let ended = run(args).await.map_err(|error| error.to_string());
    traces::finish().await;
    ended
}

/// One thread where there is one core: two that wake each other cost more.
fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, usize::from);
    let mut builder = if cores > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().build()
}
