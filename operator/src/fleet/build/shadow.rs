//! The pods that a model is tried in: of the pool's own shape, with the new
//! model, and out of callers' reach.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use ttsfleet_wire::model::ModelRecord;

use super::children::{Settings, trial_meta};
use super::deployment::PROGRESS_DEADLINE_SECONDS;
use super::labels::{self, SHADOW};
use super::mounts::Mounts;
use super::pod::{self, Place};
use crate::fleet::validate::{Fleet, FleetPool};

/// The shadow's pods. Those of one trial all go before those of the next come:
/// nobody waits for them, and the room for both need not be there.
pub(super) fn deployment(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    model: &ModelRecord,
    trial: &str,
) -> Deployment {
    let selector = labels::trial_selector(&fleet.name, &pool.name, SHADOW);
    let mut of_pod = labels::trial(&fleet.name, &pool.name, SHADOW);
    of_pod.insert(labels::TRIAL.to_owned(), trial.to_owned());
    let place = Place {
        labels: of_pod,
        selector: selector.clone(),
        config: labels::trial_object(&fleet.name, &pool.name, SHADOW),
        mounts: &Mounts::of([model]),
    };
    Deployment {
        metadata: trial_meta(fleet, pool, SHADOW),
        spec: Some(DeploymentSpec {
            replicas: Some(fleet.rollout.shadow_replicas),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            revision_history_limit: Some(1),
            template: pod::template(fleet, pool, settings, place),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
