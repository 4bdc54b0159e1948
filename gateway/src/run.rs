//! From the command line to a running gateway.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use kube::{Client, runtime::reflector};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{Id, JoinSet},
};
use ttsfleet_serving::{Connections, Listener, health_routes, serve};

use crate::{
    attempts::SOONEST_HEDGE, config::Args, front, gateway::Gateway, keys, probe, usage, watch as cluster,
};

/// After SIGTERM requests still come until every node has heard of it.
const STILL_SENT: Duration = Duration::from_secs(5);
/// How long connections have to end once nothing is in progress on them.
const GOODBYE: Duration = Duration::from_secs(2);

/// tokio wakes its driver, at the price of a system call, for a timer that is due
/// before all others; and every request sets one, for its second attempt, which is
/// due in 50 ms at least. Where something is always due sooner, it need not.
const PULSE: Duration = Duration::from_millis(40);
const _: () = assert!(PULSE.as_millis() < SOONEST_HEDGE.as_millis());

/// Why the gateway ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port or a signal handler could not be had.
    #[error("{0}")]
    Start(#[from] io::Error),
    /// There is no way to the API server.
    #[error("no access to the cluster: {0}")]
    Cluster(String),
    /// Something that must go on for ever has ended.
    #[error("{0} ended, without which the gateway would grow blind")]
    Ended(String),
}

/// Serves until SIGTERM or Ctrl-C, or until one of its tasks has ended that never
/// should; then it finishes what it has begun.
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
    let mut tasks = follow(args, client, &gateway);
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        name = tasks.ended() => Err(RunError::Ended(name)),
    };
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
    ended
}

async fn listen(
    args: &Args,
    gateway: &Arc<Gateway>,
    stopped: &watch::Receiver<bool>,
) -> io::Result<[tokio::task::JoinHandle<()>; 2]> {
    let connections = Connections::patient(2 * args.max_concurrency as usize);
    let speech = Listener::bind(args.listen).await?;
    let health = Listener::bind(args.health_listen).await?;
    tracing::info!(address = %speech.address(), health = %health.address(), "listening");
    let drain = Duration::from_secs(args.drain_seconds);
    let (asked, scraped, used) = (Arc::clone(gateway), Arc::clone(gateway), Arc::clone(gateway));
    let health_routes =
        health_routes(move || asked.readiness(), move || scraped.metrics_text()).merge(usage::routes(used));
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

/// Tasks that never end by themselves.
#[derive(Default)]
struct Tasks {
    all: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    fn begin(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.all.spawn(task).id(), name);
    }

    /// Waits until one of them ends all the same, or panics; its name.
    async fn ended(&mut self) -> String {
        let id = match self.all.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return "every task".to_owned(),
        };
        self.names.get(&id).map_or_else(|| id.to_string(), |name| (*name).to_owned())
    }
}

fn follow(args: &Args, client: Client, gateway: &Arc<Gateway>) -> Tasks {
    let place = cluster::Place {
        namespace: args.namespace.clone(),
        route: args.route.clone(),
        endpoints: args.endpoints.clone(),
    };
    let (slices, writer) = reflector::store();
    let mut tasks = Tasks::default();
    let pods = cluster::follow_endpoints(client.clone(), place.clone(), Arc::clone(gateway), writer);
    tasks.begin("the watch of the pods", pods);
    let route = cluster::follow_route(client, place, Arc::clone(gateway), slices);
    tasks.begin("the watch of the route table", route);
    tasks.begin("the check of the pods", probe::check_pods(Arc::clone(gateway)));
    tasks.begin("the pulse", pulse());
    let exchange = usage::exchange(Arc::clone(gateway), args.health_listen.port());
    tasks.begin("the exchange of usage", exchange);
    if let Some(folder) = args.api_keys.clone() {
        tasks.begin("the reading of the API keys", keys::follow(folder, Arc::clone(&gateway.keys)));
    }
    tasks
}

async fn pulse() {
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        pulse.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_noticed_by_its_name() {
        let ends: [fn() -> (); 2] = [|| {}, || panic!("on purpose")];
        for end in ends {
            let mut tasks = Tasks::default();
            tasks.begin("one that goes on", std::future::pending());
            tasks.begin("one that ends", async move { end() });
            assert_eq!(tasks.ended().await, "one that ends");
        }
    }
}
