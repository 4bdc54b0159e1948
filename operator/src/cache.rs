//! What the operator remembers of the cluster: its own objects, cut down to
//! what decisions need.

use futures::{Stream, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use ttsfleet_crds::TtsDeployment;

use crate::backoff::Pauses;
use crate::fleet::build::labels;
use crate::fleet::ownership;

/// The objects as last seen.
#[derive(Clone)]
pub struct Caches {
    /// The fleets.
    pub fleets: Store<TtsDeployment>,
    /// See [`crate::fleet::build::Children`].
    pub service_accounts: Store<ServiceAccount>,
    /// See [`crate::fleet::build::Children`].
    pub network_policies: Store<NetworkPolicy>,
    /// See [`crate::fleet::build::Children`].
    pub models: Store<ConfigMap>,
    /// See [`crate::fleet::build::Children`].
    pub services: Store<Service>,
    /// See [`crate::fleet::build::Children`].
    pub disruption_budgets: Store<PodDisruptionBudget>,
    /// See [`crate::fleet::build::Children`].
    pub deployments: Store<Deployment>,
    /// The fleets' pods, without their specs.
    pub pods: Store<Pod>,
}

/// The writing ends of [`Caches`].
pub(crate) struct Writers {
    pub(crate) fleets: Writer<TtsDeployment>,
    pub(crate) service_accounts: Writer<ServiceAccount>,
    pub(crate) network_policies: Writer<NetworkPolicy>,
    pub(crate) models: Writer<ConfigMap>,
    pub(crate) services: Writer<Service>,
    pub(crate) disruption_budgets: Writer<PodDisruptionBudget>,
    pub(crate) deployments: Writer<Deployment>,
    pub(crate) pods: Writer<Pod>,
}

impl Caches {
    pub(crate) fn new() -> (Self, Writers) {
        let (fleets, fleets_writer) = reflector::store();
        let (service_accounts, service_accounts_writer) = reflector::store();
        let (network_policies, network_policies_writer) = reflector::store();
        let (models, models_writer) = reflector::store();
        let (services, services_writer) = reflector::store();
        let (disruption_budgets, disruption_budgets_writer) = reflector::store();
        let (deployments, deployments_writer) = reflector::store();
        let (pods, pods_writer) = reflector::store();
        let caches = Self {
            fleets,
            service_accounts,
            network_policies,
            models,
            services,
            disruption_budgets,
            deployments,
            pods,
        };
        let writers = Writers {
            fleets: fleets_writer,
            service_accounts: service_accounts_writer,
            network_policies: network_policies_writer,
            models: models_writer,
            services: services_writer,
            disruption_budgets: disruption_budgets_writer,
            deployments: deployments_writer,
            pods: pods_writer,
        };
        (caches, writers)
    }

    /// Resolves when every kind has been listed once. Deciding on less would
    /// make what is there look missing.
    pub(crate) async fn ready(&self) -> Result<(), reflector::store::WriterDropped> {
        let Self {
            fleets,
            service_accounts,
            network_policies,
            models,
            services,
            disruption_budgets,
            deployments,
            pods,
        } = self;
        fleets.wait_until_ready().await?;
        service_accounts.wait_until_ready().await?;
        network_policies.wait_until_ready().await?;
        models.wait_until_ready().await?;
        services.wait_until_ready().await?;
        disruption_budgets.wait_until_ready().await?;
        deployments.wait_until_ready().await?;
        pods.wait_until_ready().await
    }
}

/// Objects of the kind that belong to fleets, in one namespace or all.
pub(crate) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches children of one kind into a cache.
pub(crate) fn children<K>(
    api: Api<K>,
    writer: Writer<K>,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watch(api, writer, watcher::Config::default().labels(labels::SELECTOR), |object: &mut K| {
        ownership::keep_intruders(object.meta_mut());
    })
}

/// Watches the fleets' pods into a cache.
pub(crate) fn pods(
    api: Api<Pod>,
    writer: Writer<Pod>,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send {
    watch(api, writer, watcher::Config::default().labels(labels::SELECTOR), |pod: &mut Pod| {
        pod.metadata.managed_fields = None;
        pod.metadata.annotations = None;
        pod.spec = None;
    })
}

/// Watches the fleets into a cache.
pub(crate) fn fleets(
    api: Api<TtsDeployment>,
    writer: Writer<TtsDeployment>,
) -> impl Stream<Item = Result<TtsDeployment, watcher::Error>> + Send {
    watch(api, writer, watcher::Config::default(), |fleet: &mut TtsDeployment| {
        fleet.metadata.managed_fields = None;
        fleet.metadata.annotations = None;
    })
}

fn watch<K>(
    api: Api<K>,
    writer: Writer<K>,
    config: watcher::Config,
    cut_down: impl Fn(&mut K) + Send + 'static,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watcher(api, config)
        .backoff(Pauses::of_watch())
        .modify(cut_down)
        .reflect(writer)
        .touched_objects()
        .boxed()
}
