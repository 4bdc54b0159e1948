//! All objects of a fleet, in the order in which they are made.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels::{self, BASELINE, JUDGE, SHADOW};
use super::plan::{PoolPlan, Prompts};
use super::{
    deployment, exposure, gateway, judge, model_config, network_policy, pdb, rbac, service, service_account,
    shadow,
};
use crate::args::PullPolicy;
use crate::fleet::validate::{Fleet, FleetPool};
use crate::key::AdminKey;
use crate::kinds::Child;

/// What is the same for every fleet of this operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Image of the speech server.
    pub inference_image: String,
    /// Image of the gateway.
    pub gateway_image: String,
    /// Image of the judge.
    pub judge_image: String,
    /// When nodes pull them.
    pub pull_policy: PullPolicy,
    /// Secrets that they are pulled with, in the fleet's own namespace.
    pub pull_secrets: Vec<String>,
    /// The cluster gives each namespace's pods their user and group, and refuses
    /// any other.
    pub assigns_users: bool,
    /// Namespace of the operator's own pods.
    pub namespace: String,
    /// What the tokens of the pods' admin API are derived from.
    pub key: AdminKey,
}

/// All objects of a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What the fleet serves with, in the order in which it is made.
    pub serving: Vec<Child>,
    /// What a model is tried with, which nobody's request depends on.
    pub trying: Vec<Child>,
    /// What leads to it from outside the cluster.
    pub exposing: Vec<Child>,
}

impl Wanted {
    /// All of them. What callers depend on comes first: a cluster that refuses
    /// the rest shall keep nothing from serving.
    pub fn all(&self) -> impl Iterator<Item = &Child> {
        self.serving.iter().chain(&self.trying).chain(&self.exposing)
    }
}

/// Builds all objects of a fleet; `plans` are its pools', in their order, and
/// `account` is the ServiceAccount that the gateway's pods were last replaced for.
pub fn build(
    fleet: &Fleet,
    settings: &Settings,
    plans: &[PoolPlan],
    account: Option<&str>,
) -> serde_json::Result<Wanted> {
    let mut serving: Vec<Child> = vec![
        service_account::of_pods(fleet).into(),
        service_account::of_gateway(fleet).into(),
        rbac::role(fleet).into(),
        rbac::binding(fleet).into(),
        network_policy::of_pods(fleet, settings, plans).into(),
        network_policy::of_gateway(fleet).into(),
        service::of_fleet(fleet).into(),
    ];
    let mut trying = Vec::new();
    for (pool, plan) in fleet.pools.iter().zip(plans) {
        // What pods serve is on record before any pod is asked to serve it.
        serving.extend([
            Child::from(model_config::build(fleet, pool, &plan.record)?),
            service::of_pool(fleet, pool).into(),
            pdb::build(pool_meta(fleet, pool), labels::pool_selector(&fleet.name, &pool.name)).into(),
            deployment::build(fleet, pool, settings, plan)?.into(),
        ]);
        trying.extend(trial(fleet, pool, settings, plan)?);
    }
    // The gateway learns of a pool after its pods are asked for, and pods go
    // after the gateway was told to leave them alone.
    serving.extend([
        Child::from(gateway::route(fleet, plans)?),
        pdb::build(gateway_meta(fleet), labels::gateway_selector(&fleet.name)).into(),
        gateway::deployment(fleet, settings, account).into(),
    ]);
    let ingress = fleet.expose.ingress.iter().map(|ingress| exposure::ingress(fleet, ingress).into());
    let route = fleet.expose.http_route.iter().map(|route| exposure::http_route(fleet, route).into());
    Ok(Wanted { serving, trying, exposing: ingress.chain(route).collect() })
}

/// What is there only while a model is tried.
fn trial(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    plan: &PoolPlan,
) -> serde_json::Result<Vec<Child>> {
    let (wants, mut children) = (&plan.wants, Vec::new());
    let pods = [(SHADOW, &wants.shadow), (BASELINE, &wants.baseline)];
    for (part, model) in pods.into_iter().filter_map(|(part, model)| Some((part, model.as_ref()?))) {
        children.extend([
            Child::from(model_config::of_trial(fleet, pool, part, model)?),
            service::of_trial(fleet, pool, part).into(),
            shadow::deployment(fleet, pool, settings, (part, model), &wants.trial).into(),
        ]);
    }
    let ready = !matches!(plan.prompts, Prompts::Missing(_));
    if let Some(comparison) = wants.judge.as_ref().filter(|_| ready) {
        let session = judge::session(fleet, pool, comparison, &plan.prompts)?;
        let pods = judge::deployment(fleet, pool, settings, &wants.trial, &session);
        children.extend([
            Child::from(network_policy::of_judge(fleet, pool, settings)),
            session.into(),
            service::of_trial(fleet, pool, JUDGE).into(),
            pods.into(),
        ]);
    }
    Ok(children)
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

/// Metadata of an object of a part of a pool's trial.
pub(super) fn trial_meta(fleet: &Fleet, pool: &FleetPool, part: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(labels::trial_object(&fleet.name, &pool.name, part)),
        labels: Some(labels::trial(&fleet.name, &pool.name, part)),
        ..fleet_meta(fleet, part)
    }
}

/// Metadata of an object of the gateway.
pub(super) fn gateway_meta(fleet: &Fleet) -> ObjectMeta {
    ObjectMeta { name: Some(labels::gateway_object(&fleet.name)), ..fleet_meta(fleet, labels::GATEWAY) }
}

#[cfg(test)]
mod tests;
