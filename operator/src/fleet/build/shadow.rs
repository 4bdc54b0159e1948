//! The pods that a model is tried in, and those with the model before that it is
//! compared with: of the pool's own shape, equally new and equally idle, and out
//! of callers' reach.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{PodAffinity, PodAffinityTerm, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use ttsfleet_wire::model::ModelRecord;

use super::children::{Settings, trial_meta};
use super::deployment::PROGRESS_DEADLINE_SECONDS;
use super::labels::{self, BASELINE, SHADOW};
use super::mounts::Mounts;
use super::pod::{self, Place};
use crate::fleet::validate::{Fleet, FleetPool};

/// The pods of [`SHADOW`] or [`BASELINE`]. Those of one trial all go before those
/// of the next come: nobody waits for them, and the room for both need not be
/// there.
pub(super) fn deployment(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    (part, model): (&str, &ModelRecord),
    trial: &str,
) -> Deployment {
    let selector = labels::trial_selector(&fleet.name, &pool.name, part);
    let mut of_pod = labels::trial(&fleet.name, &pool.name, part);
    of_pod.insert(labels::TRIAL.to_owned(), trial.to_owned());
    let place = Place {
        labels: of_pod,
        selector: selector.clone(),
        config: labels::trial_object(&fleet.name, &pool.name, part),
        mounts: &Mounts::of([model]),
    };
    let mut template = pod::template(fleet, pool, settings, place);
    if let (true, Some(spec)) = (pool.fresh_baseline(), &mut template.spec) {
        let other = if part == SHADOW { BASELINE } else { SHADOW };
        spec.affinity.get_or_insert_default().pod_affinity = Some(near(fleet, pool, other));
    }
    Deployment {
        metadata: trial_meta(fleet, pool, part),
        spec: Some(DeploymentSpec {
            replicas: Some(fleet.rollout.shadow_replicas),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            revision_history_limit: Some(1),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// On the node of that part's pods, where there is room: on another one the time
/// of an answer would tell of the nodes, too.
fn near(fleet: &Fleet, pool: &FleetPool, part: &str) -> PodAffinity {
    let selector = labels::trial_selector(&fleet.name, &pool.name, part);
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(LabelSelector { match_labels: Some(selector), ..LabelSelector::default() }),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    PodAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![term]),
        ..PodAffinity::default()
    }
}
