//! From the command line to a running server.

use std::{io, path::PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use ttsfleet_wire::model::ModelRecord;

use crate::{
    Server,
    config::{Args, Limits},
    source::{self, LoadError, Patience, Source},
};

/// Why the server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port, a thread or a signal handler could not be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// The model could not be loaded.
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// [`RunError`].
pub async fn run(args: &Args) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let limits = Limits::new(args);
    tracing::info!(workers = limits.workers, max_concurrency = limits.max_concurrency, "starting");
    let server = Server::bind(args.listen, args.health_listen, limits).await?;
    let (address, port) = (server.address(), server.address().port());
    tracing::info!(%address, health = %server.health_address(), "listening");
    let source = Source {
        record: record(args)?,
        store: args.store.clone().or_else(user_store),
        patience: Patience::default(),
    };
    let load = async {
        let served = source::load(source).await?;
        tracing::info!(
            "try: curl -s localhost:{port}/v1/audio/speech -H 'content-type: application/json' \
             -d '{{\"input\": \"Hello there.\", \"response_format\": \"wav\"}}' -o hello.wav"
        );
        Ok::<_, LoadError>(served)
    };
    Ok(server.run(load, stop).await?)
}

/// The voice built in, unless a model was named.
fn record(args: &Args) -> Result<ModelRecord, LoadError> {
    if let Some(path) = &args.model_file {
        return source::read_record(path);
    }
    if let Some(folder) = &args.model_dir {
        return Ok(source::record_of_folder(folder));
    }
    Ok(ModelRecord { name: String::new(), version: String::new(), source: None })
}

fn user_store() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Some(cache.or_else(home)?.join("ttsfleet/models"))
}
