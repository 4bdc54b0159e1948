//! From the command line to a running server.

use std::{io, path::PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use ttsfleet_wire::model::ModelRecord;

use crate::{
    Models, Ports, Server,
    config::{Args, Limits},
    loading::ModelFailure,
    source::{self, LoadError, Patience, Sources, SourcesConfig},
};

/// Why the server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port, a thread or a signal handler could not be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// The model's record could not be read.
    #[error("{0}")]
    Record(#[from] LoadError),
    /// The model could not be had, loaded or heard.
    #[error("{0}")]
    Model(#[from] ModelFailure),
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
    let producer = args.marking.then(|| args.producer.clone());
    if producer.is_none() {
        tracing::warn!("audio is not marked as synthetic; law may ask for that: see docs/SPEECH-API.md");
    }
    let server = Server::bind(&ports(args), limits, producer).await?;
    let (address, health) = (server.address(), server.health_address());
    match server.admin_address() {
        Some(admin) => tracing::info!(%address, %health, %admin, "listening"),
        None => tracing::info!(%address, %health, "listening"),
    }
    tracing::info!(
        "once it is ready, try: curl -s localhost:{}/v1/audio/speech -H 'content-type: application/json' \
         -d '{{\"input\": \"Hello there.\", \"response_format\": \"wav\"}}' -o hello.wav",
        address.port()
    );
    let sources = Sources::new(SourcesConfig {
        store: args.store.clone().or_else(user_store),
        store_bytes: args.store_bytes,
        secrets: args.secrets.clone(),
        claims: args.claims.clone(),
        patience: Patience::default(),
    });
    Ok(server.run(Models::new(sources), record(args)?, stop).await?)
}

fn ports(args: &Args) -> Ports {
    let admin = args.admin_token_sha256.clone().map(|token| (args.admin_listen, token));
    Ports { speech: args.listen, health: args.health_listen, admin }
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
