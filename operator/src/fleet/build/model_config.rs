//! The record of what the pods serve.

use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest, Sha256};
use ttsfleet_wire::model::MODEL_KEY;

use super::children::pool_meta;
use crate::fleet::validate::{Fleet, FleetPool};

/// The pool's [`ttsfleet_wire::model::ModelRecord`] in a ConfigMap.
pub(super) fn build(fleet: &Fleet, pool: &FleetPool) -> serde_json::Result<ConfigMap> {
    let record = serde_json::to_string(&pool.model)?;
    Ok(ConfigMap {
        metadata: pool_meta(fleet, pool),
        data: Some([(MODEL_KEY.to_owned(), record)].into()),
        ..ConfigMap::default()
    })
}

/// A short digest of the ConfigMap's content.
pub(super) fn content_hash(config: &ConfigMap) -> String {
    let mut hash = Sha256::new();
    for (key, value) in config.data.iter().flatten() {
        for part in [key, value] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hex::encode(&hash.finalize()[..8])
}
