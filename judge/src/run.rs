//! From the command line to a running judge.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use ttsfleet_ears::Mos;
use ttsfleet_serving::{Connections, Listener, Readiness, health_routes, serve};
use ttsfleet_wire::judge::Recogniser as Kind;

use crate::{
    config::Args,
    driver::drive,
    http,
    judge::{Judge, start_listening},
    listen::Ears,
    normalise::Script,
    recogniser::{Claims, Pocketsphinx, load_whisper},
    session::{self, SessionError},
};

const CONNECTIONS: Connections = Connections::patient(64);
/// How long connections have to end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the judge ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port, a thread or a signal handler could not be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// There is nothing to compare.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Listens until SIGTERM or Ctrl-C. What waits then is forgotten.
///
/// # Errors
/// [`RunError`].
pub async fn run(args: &Args) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let judge = Arc::new(Judge::new(session::read(&args.session)?));
    let (stop, stopped) = watch::channel(false);
    let requests = Listener::bind(args.listen).await?;
    let health = Listener::bind(args.health_listen).await?;
    tracing::info!(address = %requests.address(), health = %health.address(), "listening");
    let counted = Arc::clone(&judge);
    // Ready at once: what keeps it from judging is in the report.
    let health_routes = health_routes(|| Readiness::Ready, move || counted.metrics.encode());
    let ports = [
        tokio::spawn(serve(
            requests,
            http::routes(Arc::clone(&judge)),
            CONNECTIONS,
            stopped.clone(),
            GOODBYE,
        )),
        tokio::spawn(serve(health, health_routes, CONNECTIONS, stopped, GOODBYE)),
    ];
    let wanted = args.clone();
    let kind = judge.session.recogniser.clone();
    let embedded = kind == Kind::Embedded;
    let ears = start_listening(&judge, move || load(&wanted, &kind))?;
    let driver = tokio::spawn(drive(Arc::clone(&judge), move |script| !embedded || script == Script::Latin));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    driver.abort();
    judge.queue.close();
    stop.send_replace(true);
    for port in ports {
        _ = port.await;
    }
    // It may be in the middle of a clip, which is not waited for.
    drop(ears);
    Ok(())
}

fn load(args: &Args, kind: &Kind) -> Result<Ears, String> {
    let mos = Mos::load().map_err(|error| error.to_string())?;
    let recogniser = match kind {
        Kind::Embedded => Box::new(Pocketsphinx::new(args.pocketsphinx.clone())),
        Kind::Whisper { record } => {
            load_whisper(record, &Claims(args.claims.clone())).map_err(|error| error.to_string())?
        }
    };
    Ok(Ears::new(recogniser, mos))
}
