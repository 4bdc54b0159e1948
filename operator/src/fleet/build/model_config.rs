//! The record of what the pods serve.

use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest, Sha256};
use ttsfleet_wire::model::MODEL_KEY;

use super::pool_meta;
use crate::fleet::validate::Fleet;

/// The pool's [`ttsfleet_wire::model::ModelRecord`] in a ConfigMap.
pub(super) fn build(fleet: &Fleet) -> serde_json::Result<ConfigMap> {
    let record = serde_json::to_string(&fleet.main.model)?;
    Ok(ConfigMap {
        metadata: pool_meta(fleet),
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
