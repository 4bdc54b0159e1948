//! What a server writes: a line for each request on standard output, and the
//! program's own events on standard error, so that either can be read by
//! programs alone.

use std::{io, sync::OnceLock, time::Duration};

use tracing_subscriber::EnvFilter;

use crate::{lines::Lines, request_log};

/// How long the end waits for each stream to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(1);

static STREAMS: OnceLock<[Lines; 2]> = OnceLock::new();

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `<time> | <trace_id> | <error_code> | <cost>ms | <input_len> | <gpu_id> | <stack>`.
    Template,
    /// One JSON object a line, with the same fields.
    Json,
}

/// Writes what is left when it is dropped, as far as somebody takes it.
#[derive(Debug)]
#[must_use = "dropped too early, it does not write the last lines"]
pub struct Logging(());

/// Starts logging; `RUST_LOG` overrides the level of the program's events.
///
/// # Errors
/// When there can be no threads for it.
pub fn init(format: LogFormat) -> io::Result<Logging> {
    let requests = Lines::start("stdout", io::stdout())?;
    let events = Lines::start("stderr", io::stderr())?;
    _ = STREAMS.set([requests.clone(), events.clone()]);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let builder = builder.with_writer(move || events.clone());
    match format {
        LogFormat::Template => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    request_log::start(format, requests);
    // The default hook prints the panic's message, which can hold user text.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
    Ok(Logging(()))
}

impl Drop for Logging {
    fn drop(&mut self) {
        for stream in STREAMS.get().into_iter().flatten() {
            stream.flush(LAST_WORDS);
        }
    }
}

/// Lines of both streams that nobody took in time.
pub(crate) fn dropped_lines() -> u64 {
    STREAMS.get().into_iter().flatten().map(Lines::dropped).sum()
}
