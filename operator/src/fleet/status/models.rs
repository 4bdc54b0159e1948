//! What the status says of the pools' models.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use ttsfleet_crds::conditions::{ConditionType, Reason};
use ttsfleet_crds::{PoolModel, PoolStatus, RolloutEntry, RolloutPhase, RolloutStatus};
use ttsfleet_wire::model::ModelRecord;

use super::{Finding, PoolProgress, View, is_under_way, whole_seconds};
use crate::fleet::build::labels;
use crate::rollout::Progress;

/// Whether a Deployment is there only while a model is tried.
pub(super) fn is_of_trial(deployment: &Deployment) -> bool {
    deployment.labels().contains_key(labels::TRIAL_OF)
}

pub(super) fn pool_status(models: &PoolProgress, replicas: i32, ready: i32) -> PoolStatus {
    let PoolProgress { pool, stable, progress, .. } = models;
    let Progress { rollout, serving, history, .. } = progress;
    let history = history.iter().map(|entry| RolloutEntry { at: whole_seconds(entry.at.0), ..entry.clone() });
    PoolStatus {
        name: pool.clone(),
        replicas,
        ready,
        model: model(stable),
        serving: serving.clone(),
        rollout: rollout
            .as_ref()
            .map(|rollout| RolloutStatus { since: whole_seconds(rollout.since.0), ..rollout.clone() }),
        history: history.collect(),
    }
}

fn model(record: &ModelRecord) -> Option<PoolModel> {
    let source = record.source.as_ref()?;
    Some(PoolModel {
        name: record.name.clone(),
        version: record.version.clone(),
        digest: source.digest.clone(),
    })
}

/// Progressing, of the first pool with a rollout that nobody is waited for in.
pub(super) fn progressing(view: &View<'_>) -> Option<(bool, Reason, String)> {
    let moving = |rollout: &RolloutStatus| is_under_way(rollout) && rollout.phase != RolloutPhase::Paused;
    let models = view.models.iter().find(|models| models.progress.rollout.as_ref().is_some_and(moving))?;
    let rollout = models.progress.rollout.as_ref()?;
    let message = format!("Pool {}: {}: {}", models.pool, rollout.phase, models.quality.message);
    Some((true, Reason::RollingOut, message))
}

/// The condition QualityGate, of the pool that has the worst to tell. It stays
/// as it was where models were not looked at.
pub(super) fn quality(view: &View<'_>) -> Option<Finding> {
    let rank = |models: &&PoolProgress| match models.quality.status {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    };
    let models = view.models.iter().min_by_key(rank)?;
    let message = match view.models.len() {
        1 => models.quality.message.clone(),
        _ => format!("Pool {}: {}", models.pool, models.quality.message),
    };
    let type_ = ConditionType::QualityGate;
    Some(Finding { type_, status: models.quality.status, reason: models.quality.reason, message })
}
