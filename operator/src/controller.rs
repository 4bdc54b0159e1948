//! Wires watches, caches and passes together.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as Failed};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, ResourceExt};
use ttsfleet_crds::TtsDeployment;

use crate::admin::Pods;
use crate::backoff::Pauses;
use crate::cache::{self, Caches, Writers};
use crate::fleet::build::Settings;
use crate::fleet::failures::Failures;
use crate::fleet::models::Memory;
use crate::fleet::reconcile::{Context, Unfinished, reconcile};
use crate::fleet::repairs::Repairs;
use crate::metrics::Metrics;
use crate::{Clock, FIELD_MANAGER};

/// Passes that may be under way at once.
const CONCURRENCY: u16 = 16;

/// Which fleets an operator serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of all namespaces.
    Cluster,
    /// Those of one.
    Namespace(String),
}

/// An operator that is ready to run.
pub struct Operator {
    /// The cluster.
    pub client: Client,
    /// Which fleets to serve.
    pub scope: Scope,
    /// How pods are talked to.
    pub pods: Arc<dyn Pods>,
    /// What is the same for every fleet.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// What to count in.
    pub metrics: Metrics,
    /// This replica, for events.
    pub identity: String,
}

impl Operator {
    /// Keeps fleets true until `shutdown`, then finishes the passes under way.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + Sync + 'static) {
        let Self { client, scope, pods, settings, clock, metrics, identity } = self;
        let namespace = match &scope {
            Scope::Cluster => None,
            Scope::Namespace(namespace) => Some(namespace.as_str()),
        };
        let (caches, writers) = Caches::new();
        metrics.watch(caches.fleets.clone());
        let controller = controller(&client, namespace, &caches, writers);
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity) };
        let context = Arc::new(Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            caches,
            pods,
            memory: Memory::default(),
            settings,
            clock,
            repairs: Repairs::default(),
            metrics,
            failures: Failures::default(),
        });
        controller
            .with_config(Config::default().concurrency(CONCURRENCY))
            .trigger_backoff(Pauses::none())
            .graceful_shutdown_on(shutdown)
            .run(measured, on_error, Arc::clone(&context))
            .for_each(|result| {
                match result {
                    Err(error @ Failed::QueueError(_)) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "a watch was interrupted");
                    }
                    Err(Failed::ObjectNotFound(fleet)) => context.forget(fleet.extra.uid.as_deref()),
                    // Failed passes are logged where they are retried.
                    _ => {}
                }
                std::future::ready(())
            })
            .await;
    }
}

fn controller(
    client: &Client,
    namespace: Option<&str>,
    caches: &Caches,
    writers: Writers,
) -> Controller<TtsDeployment> {
    let Writers { fleets, children, pods, replica_sets, endpoints, listed } = writers;
    // It ends with the watches; a pass that waits then fails.
    tokio::spawn(caches.clone().await_lists(listed));
    let controller =
        Controller::for_stream(cache::fleets(cache::api(client, namespace), fleets), caches.fleets.clone())
            .watches_stream(cache::pods(cache::api(client, namespace), pods), cache::fleets_of)
            .watches_stream(
                cache::replica_sets(cache::api(client, namespace), replica_sets),
                cache::fleets_of,
            )
            .watches_stream(cache::endpoints(cache::api(client, namespace), endpoints), cache::fleets_of);
    children.watched_by(controller, client, namespace)
}

async fn measured(object: Arc<TtsDeployment>, context: Arc<Context>) -> Result<Action, Unfinished> {
    let started = Instant::now();
    let metrics = context.metrics.clone();
    let result = reconcile(object, context).await;
    metrics.reconciled(result.is_ok(), started.elapsed().as_secs_f64());
    result
}

fn on_error(object: Arc<TtsDeployment>, error: &Unfinished, context: Arc<Context>) -> Action {
    let delay = error.again_in(context.failures.next_delay(&object));
    tracing::warn!(
        fleet = object.name_any(),
        namespace = object.namespace(),
        error = error as &dyn std::error::Error,
        retry_in = ?delay,
        "pass failed"
    );
    Action::requeue(delay)
}
