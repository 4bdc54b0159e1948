//! What the operator tells a pod about its model: the content of the pool's
//! model ConfigMap.

use serde::{Deserialize, Serialize};

/// The key of the model ConfigMap that holds a [`ModelRecord`] as JSON.
pub const MODEL_KEY: &str = "model.json";

/// Which model a pool serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelRecord {
    /// The model's name; empty for the voice built into the image.
    pub name: String,
    /// The model's version; empty for the voice built into the image.
    pub version: String,
    /// Where the model folder comes from; none for the built-in voice.
    pub source: Option<ModelSource>,
}

/// Where a model folder is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelSource {
    /// `file://`, `http://` or `https://` address of the folder.
    pub uri: String,
    /// `sha256:…` of the folder's `model.json`.
    pub digest: Option<String>,
}
