//! The record of what the pods serve.

use k8s_openapi::api::core::v1::ConfigMap;
use ttsfleet_wire::model::{MODEL_KEY, ModelRecord};

use super::children::{pool_meta, trial_meta};
use crate::fleet::validate::{Fleet, FleetPool};
use crate::rollout::{PoolRecord, ROLLOUT_KEY};

/// What the pool's pods load at start, and beside it all that is on record of
/// the pool's models.
pub(crate) fn build(fleet: &Fleet, pool: &FleetPool, record: &PoolRecord) -> serde_json::Result<ConfigMap> {
    let data = [
        (MODEL_KEY.to_owned(), serde_json::to_string(&record.stable)?),
        (ROLLOUT_KEY.to_owned(), serde_json::to_string(record)?),
    ];
    Ok(ConfigMap { metadata: pool_meta(fleet, pool), data: Some(data.into()), ..ConfigMap::default() })
}

/// What the pods of a part of a trial load at start.
pub(super) fn of_trial(
    fleet: &Fleet,
    pool: &FleetPool,
    part: &str,
    model: &ModelRecord,
) -> serde_json::Result<ConfigMap> {
    Ok(ConfigMap {
        metadata: trial_meta(fleet, pool, part),
        data: Some([(MODEL_KEY.to_owned(), serde_json::to_string(model)?)].into()),
        ..ConfigMap::default()
    })
}
