//! All objects of a fleet, in the order in which they are made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{
    deployment, exposure, gateway, labels, model_config, network_policy, pdb, rbac, service, service_account,
};
use crate::args::PullPolicy;
use crate::fleet::validate::{Fleet, FleetPool};
use crate::kinds::Child;

/// What is the same for every fleet of this operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the speech server.
    pub inference_image: String,
    /// Image of the gateway.
    pub gateway_image: String,
    /// When nodes pull them.
    pub pull_policy: PullPolicy,
}

/// All objects of a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What the fleet serves with, in the order in which it is made.
    pub serving: Vec<Child>,
    /// What leads to it from outside the cluster. Made last: a cluster that
    /// refuses it shall keep nothing from serving.
    pub exposing: Vec<Child>,
}

/// Builds all objects of a fleet.
pub fn build(fleet: &Fleet, settings: &Settings) -> serde_json::Result<Wanted> {
    let mut serving: Vec<Child> = vec![
        service_account::of_pods(fleet).into(),
        service_account::of_gateway(fleet).into(),
        rbac::role(fleet).into(),
        rbac::binding(fleet).into(),
        network_policy::of_pods(fleet).into(),
        network_policy::of_gateway(fleet).into(),
        service::of_fleet(fleet).into(),
    ];
    for pool in &fleet.pools {
        // What pods serve is on record before any pod is asked to serve it.
        let model = model_config::build(fleet, pool)?;
        let pods = deployment::build(fleet, pool, settings, &model);
        serving.extend([
            Child::from(model),
            service::of_pool(fleet, pool).into(),
            pdb::build(pool_meta(fleet, pool), labels::pool_selector(&fleet.name, &pool.name)).into(),
            pods.into(),
        ]);
    }
    // The gateway learns of a pool after its pods are asked for, and pods go
    // after the gateway was told to leave them alone.
    serving.extend([
        Child::from(gateway::route(fleet)?),
        pdb::build(gateway_meta(fleet), labels::gateway_selector(&fleet.name)).into(),
        gateway::deployment(fleet, settings).into(),
    ]);
    let ingress = fleet.expose.ingress.iter().map(|ingress| exposure::ingress(fleet, ingress).into());
    let route = fleet.expose.http_route.iter().map(|route| exposure::http_route(fleet, route).into());
    Ok(Wanted { serving, exposing: ingress.chain(route).collect() })
}

/// Metadata of an object of the whole fleet.
pub(super) fn fleet_meta(fleet: &Fleet, component: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(fleet.name.clone()),
        namespace: Some(fleet.namespace.clone()),
        labels: Some(labels::component(&fleet.name, component)),
        owner_references: Some(vec![fleet.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Metadata of an object of a pool.
pub(super) fn pool_meta(fleet: &Fleet, pool: &FleetPool) -> ObjectMeta {
    ObjectMeta {
        name: Some(labels::pool_object(&fleet.name, &pool.name)),
        labels: Some(labels::pool(&fleet.name, &pool.name)),
        ..fleet_meta(fleet, labels::INFERENCE)
    }
}

/// Metadata of an object of the gateway.
pub(super) fn gateway_meta(fleet: &Fleet) -> ObjectMeta {
    ObjectMeta { name: Some(labels::gateway_object(&fleet.name)), ..fleet_meta(fleet, labels::GATEWAY) }
}

#[cfg(test)]
mod tests;
