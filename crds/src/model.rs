//! Which model a pool serves, and where it comes from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::SecretRef;

/// A model folder by name and version.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The model's name, which clients may ask for.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')").message(
        "model.name must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit; for example: \
         hibari"
    ))]
    pub name: String,

    /// The model's version. In quotes if it looks like a number.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')").message(
        "model.version must be letters, digits, '-', '_' and '.', and begin and end with a letter or digit; for \
         example: \"2026-02\""
    ))]
    pub version: String,

    /// Where the pods fetch the model from.
    pub source: Source,
}

/// Where a model folder is fetched from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.uri.startsWith('file://') || self.uri.matches('^oci://.*@sha256:[0-9a-f]{64}$') || has(self.digest)"
).message(
    "source.digest is required unless source.uri is file:// or names an oci:// artifact by its digest, because what \
     is there can change; write digest: sha256:<the 64 hex digits that `sha256sum model.json` prints>"
))]
#[x_kube(validation = Rule::new(
    "!has(self.secretRef) || !(self.uri.startsWith('file://') || self.uri.startsWith('pvc://'))"
).message(
    "source.secretRef goes with a source.uri that is fetched; leave it out with file:// and pvc://, which nobody asks \
     for a password"
))]
pub struct Source {
    /// Address of the model folder: file:///path (inside the pod),
    /// pvc://claim/path, http(s)://host/path, s3://bucket/path, gs://bucket/path,
    /// az://container/path, hf://owner/repository@revision/path or
    /// oci://registry/repository@sha256:…
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(
        "self.matches('^file:///[^?#[:space:]]+$') || \
         self.matches('^(https?|s3|gs|az|pvc|hf|oci)://[^/?#[:space:]]+(/[^?#[:space:]]*)?$')"
    ).message(
        "source.uri must be file:///path, or begin with pvc://, http://, https://, s3://, gs://, az://, hf:// or \
         oci://, without a query or blanks"
    ))]
    #[x_kube(validation = Rule::new("!self.matches('^https?://[^/]*@')").message(
        "source.uri must not hold a user name or password: everyone who may read the TtsDeployment would read them; \
         put them into a Secret and name it in source.secretRef"
    ))]
    #[x_kube(validation = Rule::new("!self.matches('/[.][.]?(/|$)')").message(
        "source.uri must not have . or .. in its path; write the path in full"
    ))]
    pub uri: String,

    /// SHA-256 of the folder's `model.json`, which in turn holds the digests
    /// of all other files: sha256: and 64 hex digits. A pod does not serve a
    /// model that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[0-9a-f]{64}$')").message(
        "source.digest must be sha256: and 64 lower-case hex digits, as `sha256sum model.json` prints them"
    ))]
    pub digest: Option<String>,

    /// Secret of the fleet's namespace with what the source asks for, where it
    /// is fetched: docs/MODELS.md lists the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}
