//! Everything about a fleet that the caches hold.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use ttsfleet_crds::TtsDeployment;

use super::build::labels;
use crate::cache::Caches;

/// The live objects of one fleet. Children are all that the fleet controls,
/// wanted or not; an object of a child's name that it does not control is
/// there too, so that the conflict is seen.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// See [`crate::fleet::build::Children`].
    pub service_accounts: Vec<Arc<ServiceAccount>>,
    /// See [`crate::fleet::build::Children`].
    pub network_policies: Vec<Arc<NetworkPolicy>>,
    /// See [`crate::fleet::build::Children`].
    pub models: Vec<Arc<ConfigMap>>,
    /// See [`crate::fleet::build::Children`].
    pub services: Vec<Arc<Service>>,
    /// See [`crate::fleet::build::Children`].
    pub disruption_budgets: Vec<Arc<PodDisruptionBudget>>,
    /// See [`crate::fleet::build::Children`].
    pub deployments: Vec<Arc<Deployment>>,
    /// The fleet's pods.
    pub pods: Vec<Arc<Pod>>,
}

/// Collects the fleet's objects from the caches.
pub fn gather(fleet: &TtsDeployment, caches: &Caches) -> Live {
    Live {
        service_accounts: of_fleet(fleet, &caches.service_accounts),
        network_policies: of_fleet(fleet, &caches.network_policies),
        models: of_fleet(fleet, &caches.models),
        services: of_fleet(fleet, &caches.services),
        disruption_budgets: of_fleet(fleet, &caches.disruption_budgets),
        deployments: of_fleet(fleet, &caches.deployments),
        pods: of_fleet(fleet, &caches.pods),
    }
}

fn of_fleet<K>(fleet: &TtsDeployment, store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let uid = fleet.metadata.uid.as_deref();
    let (name, namespace) = (fleet.metadata.name.as_deref(), fleet.metadata.namespace.as_deref());
    store.state_filter(|object| {
        let labelled = object.labels().get(labels::INSTANCE).map(String::as_str) == name;
        let owned = object.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid);
        object.meta().namespace.as_deref() == namespace && (labelled || owned)
    })
}
