//! What the operator reports about a fleet.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator last saw of the fleet.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TtsDeploymentStatus {
    /// The `metadata.generation` that this status speaks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Pods there are in all pools.
    #[serde(default)]
    pub replicas: i32,

    /// Pods of all pools that are ready to speak.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Label selector of the pods of all pools, for the scale subresource.
    #[serde(default)]
    pub selector: String,

    /// The first pool's model in one word: `name@version`, or `built-in`.
    #[serde(default)]
    pub model: String,

    /// The gateway's pods.
    #[serde(default)]
    pub gateway: GatewayStatus,

    /// Pods and model of each pool.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolStatus>,

    /// Ready, Available, Progressing and Degraded, each with a reason and a
    /// message that says what to do.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// The gateway's pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Pods there are.
    #[serde(default)]
    pub replicas: i32,
    /// Pods that are ready to pass requests on.
    #[serde(default)]
    pub ready: i32,
}

/// One pool's pods and model.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// The pool's name.
    pub name: String,
    /// Pods there are.
    pub replicas: i32,
    /// Pods that are ready to speak.
    pub ready: i32,
    /// The model they are told to serve; none for the built-in voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PoolModel>,
}

/// The model that a pool is told to serve.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolModel {
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// Digest of its manifest, where one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
