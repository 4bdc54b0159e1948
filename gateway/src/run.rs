//! From the command line to a running gateway.

use std::{io, sync::Arc, time::Duration};

use kube::{Client, runtime::reflector};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use ttsfleet_serving::{Connections, Listener, health_routes, serve};

use crate::{config::Args, front, gateway::Gateway, probe, tier, watch as cluster};

/// After SIGTERM requests still come until every node has heard of it.
const STILL_SENT: Duration = Duration::from_secs(5);
/// How long connections have to end once nothing is in progress on them.
const GOODBYE: Duration = Duration::from_secs(2);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the gateway ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port or a signal handler could not be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// There is no way to the API server.
    #[error("no access to the cluster: {0}")]
    Cluster(String),
}

/// Serves until SIGTERM or Ctrl-C, and then finishes what it has begun.
///
/// # Errors
/// [`RunError`].
pub async fn run(args: &Args) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let gateway = Arc::new(Gateway::new(args.max_concurrency));
    let client = Client::try_default().await.map_err(|error| RunError::Cluster(error.to_string()))?;
    let (stop, stopped) = watch::channel(false);
    let ports = listen(args, &gateway, &stopped).await?;
    follow(args, client, &gateway);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing the requests in progress");
    gateway.drain();
    tokio::time::sleep(STILL_SENT).await;
    stop.send_replace(true);
    if tokio::time::timeout(Duration::from_secs(args.drain_seconds), gateway.idle()).await.is_err() {
        tracing::warn!("the drain time is up; requests are cut off");
    }
    for port in ports {
        _ = port.await;
    }
    Ok(())
}

async fn listen(
    args: &Args,
    gateway: &Arc<Gateway>,
    stopped: &watch::Receiver<bool>,
) -> io::Result<[tokio::task::JoinHandle<()>; 2]> {
    let connections = Connections {
        max: 2 * args.max_concurrency as usize,
        header_timeout: HEADER_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
    };
    let speech = Listener::bind(args.listen).await?;
    let health = Listener::bind(args.health_listen).await?;
    tracing::info!(address = %speech.address(), health = %health.address(), "listening");
    let drain = Duration::from_secs(args.drain_seconds);
    let (unready, metrics) = (Arc::clone(gateway), Arc::clone(&gateway.metrics));
    let health_routes = health_routes(move || unready.unready(), move || metrics.encode());
    Ok([
        tokio::spawn(serve(
            speech,
            front::routes(Arc::clone(gateway)),
            connections.clone(),
            stopped.clone(),
            drain,
        )),
        tokio::spawn(serve(health, health_routes, connections, stopped.clone(), GOODBYE)),
    ])
}

fn follow(args: &Args, client: Client, gateway: &Arc<Gateway>) {
    let place = cluster::Place {
        namespace: args.namespace.clone(),
        route: args.route.clone(),
        endpoints: args.endpoints.clone(),
    };
    let (slices, writer) = reflector::store();
    tokio::spawn(cluster::follow_endpoints(client.clone(), place.clone(), Arc::clone(gateway), writer));
    tokio::spawn(cluster::follow_route(client, place, Arc::clone(gateway), slices));
    tokio::spawn(probe::check_pods(Arc::clone(gateway)));
    if let Some(folder) = args.api_keys.clone() {
        tokio::spawn(tier::follow(folder, Arc::clone(&gateway.keys)));
    }
}
