//! What the operator tells a pod about its model: the content of the pool's
//! model ConfigMap.

use serde::{Deserialize, Serialize};

/// The key of the model ConfigMap that holds a [`ModelRecord`] as JSON.
pub const MODEL_KEY: &str = "model.json";

/// Which model a pool serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Address of the folder: `file`, `pvc`, `http`, `https`, `s3`, `gs`, `az`,
    /// `hf` or `oci`.
    pub uri: String,
    /// `sha256:…` of the folder's `model.json`.
    pub digest: Option<String>,
    /// Name of the Secret with credentials for the source, whose keys the pod
    /// finds as files in the folder of that name below
    /// [`crate::pod::ENV_SECRETS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl ModelRecord {
    /// In a few words: `name@version`, or `built-in`.
    pub fn title(&self) -> String {
        match self.source {
            Some(_) => format!("{}@{}", self.name, self.version),
            None => "built-in".to_owned(),
        }
    }
}
