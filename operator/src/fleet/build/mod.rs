//! The objects that a fleet consists of, as values. Nothing here talks to a
//! cluster or looks at a clock.

mod deployment;
mod gpu;
pub mod labels;
mod model_config;
mod network_policy;
mod pdb;
mod pod;
mod service;
mod service_account;

pub(crate) use pod::CONTAINER;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::validate::Fleet;
use crate::args::PullPolicy;

/// What is the same for every fleet of this operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the speech server.
    pub image: String,
    /// When nodes pull it.
    pub pull_policy: PullPolicy,
}

/// All objects of a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The pods' identity, without a token.
    pub service_account: ServiceAccount,
    /// What the pods may talk to.
    pub network_policy: NetworkPolicy,
    /// Which model the pods serve.
    pub model: ConfigMap,
    /// The fleet's address.
    pub service: Service,
    /// How many pods a node drain may take at once.
    pub disruption_budget: PodDisruptionBudget,
    /// The pods.
    pub deployment: Deployment,
}

/// Builds all objects of a fleet.
pub fn build(fleet: &Fleet, settings: &Settings) -> serde_json::Result<Children> {
    let model = model_config::build(fleet)?;
    let deployment = deployment::build(fleet, settings, &model);
    Ok(Children {
        service_account: service_account::build(fleet),
        network_policy: network_policy::build(fleet),
        model,
        service: service::build(fleet),
        disruption_budget: pdb::build(fleet),
        deployment,
    })
}

/// Metadata of an object of the whole fleet.
fn fleet_meta(fleet: &Fleet) -> ObjectMeta {
    ObjectMeta {
        name: Some(fleet.name.clone()),
        namespace: Some(fleet.namespace.clone()),
        labels: Some(labels::fleet(&fleet.name)),
        owner_references: Some(vec![fleet.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object of the main pool.
fn pool_meta(fleet: &Fleet) -> ObjectMeta {
    ObjectMeta {
        name: Some(labels::pool_object(&fleet.name, &fleet.main.name)),
        labels: Some(labels::pool(&fleet.name, &fleet.main.name)),
        ..fleet_meta(fleet)
    }
}

#[cfg(test)]
mod tests;
