//! The speech server's program.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use ttsfleet_inference::{config::Args, run};
use ttsfleet_serving::{logging, traces};

/// Threads that move bytes; synthesis has its own.
const RUNTIME_THREADS: usize = 2;
const BLOCKING_THREADS: usize = 8;

fn main() -> io::Result<ExitCode> {
    let args = Args::parse();
    let _logging = logging::init(args.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(async {
                traces::start(env!("CARGO_PKG_NAME"), &args.traces)?;
                let ended = run(&args).await.map_err(|error| error.to_string());
                traces::finish().await;
                ended
            });
            // What is still at work has been given its time.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(format!("cannot start the runtime: {error}")),
    };
    Ok(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!(reason, "the server cannot run");
            leave_word(&args.termination_log, &reason);
            ExitCode::FAILURE
        }
    })
}

/// Kubernetes shows what is in this file, which it made; elsewhere there is
/// none, and none is made.
fn leave_word(path: &Path, reason: &str) {
    if let Ok(mut file) = OpenOptions::new().write(true).truncate(true).open(path) {
        _ = writeln!(file, "{reason}");
    }
}
