//! What a server writes: a line for each request on standard output, and the
//! program's own events on standard error, so that either can be read by
//! programs alone.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::request_log;

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `<time> | <trace_id> | <error_code> | <cost>ms | <input_len> | <gpu_id> | <stack>`.
    Template,
    /// One JSON object a line, with the same fields.
    Json,
}

/// Starts logging; `RUST_LOG` overrides the level of the program's events.
pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(io::stderr);
    match format {
        LogFormat::Template => events.init(),
        LogFormat::Json => events.json().flatten_event(true).init(),
    }
    request_log::start(format);
    // The default hook prints the panic's message, which can hold user text.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
