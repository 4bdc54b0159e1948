//! The pods of a pool, and how they are replaced.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::children::{Settings, pool_meta};
use super::{gpu, labels, model_config::content_hash, pod};
use crate::fleet::validate::{Fleet, FleetGpu, FleetPool};

/// Template annotation with the digest of the model record.
const MODEL_HASH: &str = "ttsfleet.dev/model-hash";

/// A rollout counts as stalled when a pod takes longer than the longest start
/// that the probes allow.
const PROGRESS_DEADLINE_SECONDS: i32 = pod::START_SECONDS + 60;

pub(super) fn build(fleet: &Fleet, pool: &FleetPool, settings: &Settings, model: &ConfigMap) -> Deployment {
    let mut pod_labels = labels::pool(&fleet.name, &pool.name);
    pod_labels.extend(gpu::sharing(pool.gpu));
    Deployment {
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
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    // Servers read their model at start only, so a change of
                    // model has to start new pods.
                    annotations: Some([(MODEL_HASH.to_owned(), content_hash(model))].into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod::build(fleet, pool, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
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
