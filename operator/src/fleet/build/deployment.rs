//! The pods of a pool, and how they are replaced.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::children::{Settings, pool_meta};
use super::labels;
use super::mounts::Mounts;
use super::plan::PoolPlan;
use super::pod::{self, Place};
use crate::fleet::validate::{Fleet, FleetGpu, FleetPool};

/// A rollout counts as stalled when a pod takes longer than the longest start
/// that the probes allow.
pub(super) const PROGRESS_DEADLINE_SECONDS: i32 = pod::START_SECONDS + 60;

pub(super) fn build(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    plan: &PoolPlan,
) -> serde_json::Result<Deployment> {
    let (template, _) = template(fleet, pool, settings, plan)?;
    Ok(Deployment {
        metadata: pool_meta(fleet, pool),
        spec: Some(DeploymentSpec {
            replicas: Some(pool.replicas),
            selector: LabelSelector {
                match_labels: Some(labels::pool_selector(&fleet.name, &pool.name)),
                ..LabelSelector::default()
            },
            strategy: Some(strategy(pool.gpu)),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            // Templates are rebuilt from the TtsDeployment, never rolled back.
            revision_history_limit: Some(1),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    })
}

/// Digest of the template that a pool's pods shall be made from; they carry it
/// as a label.
pub(crate) fn template_digest(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    plan: &PoolPlan,
) -> serde_json::Result<String> {
    template(fleet, pool, settings, plan).map(|(_, digest)| digest)
}

/// A template and its digest. What running pods have mounted and no longer
/// need stays until another change replaces them anyway: going without it is
/// worth no restart.
fn template(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    plan: &PoolPlan,
) -> serde_json::Result<(PodTemplateSpec, String)> {
    let needed = plan.mounts(&pool.model);
    let live = plan.live.as_deref();
    if let Some(found) = live.map(Mounts::found).filter(|found| needed.and(found) != needed) {
        let (template, digest) = made(fleet, pool, settings, &needed.and(&found))?;
        if live.and_then(digest_of) == Some(digest.as_str()) {
            return Ok((template, digest));
        }
    }
    made(fleet, pool, settings, &needed)
}

fn made(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    mounts: &Mounts,
) -> serde_json::Result<(PodTemplateSpec, String)> {
    let place = Place {
        labels: labels::pool(&fleet.name, &pool.name),
        selector: labels::pool_selector(&fleet.name, &pool.name),
        config: labels::pool_object(&fleet.name, &pool.name),
        mounts,
    };
    let mut template = pod::template(fleet, pool, settings, place);
    let digest = pod::digest(&template)?;
    let metadata = template.metadata.get_or_insert_default();
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(labels::TEMPLATE.to_owned(), digest.clone());
    Ok((template, digest))
}

fn digest_of(deployment: &Deployment) -> Option<&str> {
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    template.labels.as_ref()?.get(labels::TEMPLATE).map(String::as_str)
}

/// New pods come before old ones go, except on exclusive GPUs: there a spare
/// one for the new pod must not be taken for granted.
fn strategy(gpu: FleetGpu) -> DeploymentStrategy {
    let (max_surge, max_unavailable) = match gpu {
        FleetGpu::Exclusive { .. } => (0, 1),
        FleetGpu::None | FleetGpu::Mps { .. } => (1, 0),
    };
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(max_surge)),
            max_unavailable: Some(IntOrString::Int(max_unavailable)),
        }),
    }
}
