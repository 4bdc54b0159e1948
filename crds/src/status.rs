//! What the operator reports about a fleet.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the built-in voice is called where other models are `name@version`.
pub const BUILT_IN: &str = "built-in";

/// How the message of a rollout ends that waits to be promoted by hand. It tells
/// one from those that wait because they got no clear answer.
pub const AWAITS_PROMOTION: &str = "it waits to be promoted by hand";

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

    /// The model on its way into the first pool that has one, as
    /// `name@version`; empty if there is none.
    #[serde(default)]
    pub candidate: String,

    /// How far it is; Stable if there is none.
    #[serde(default)]
    pub phase: String,

    /// The gateway's pods.
    #[serde(default)]
    pub gateway: GatewayStatus,

    /// Pods and model of each pool.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub pools: Vec<PoolStatus>,

    /// Ready, Available, Progressing, Degraded and QualityGate, each with a reason and a
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
    /// What the pods say that they serve, most pods first; empty where nothing
    /// had to be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serving: Vec<ServedModel>,
    /// The rollout under way, or the last one as long as it is worth showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// How the last rollouts ended, the newest first; ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RolloutEntry>,
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

/// A model as pods report it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServedModel {
    /// `name@version`.
    pub model: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Pods that serve it.
    pub pods: i32,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RolloutPhase {
    /// No rollout: the pods serve what the spec says, or what was there before
    /// a model was refused.
    #[default]
    Stable,
    /// The candidate is fetched and loaded in shadow pods.
    Staging,
    /// It is compared with the stable model.
    Shadowing,
    /// It waits: for a promotion by hand, or because the comparison gave no
    /// clear answer, or because it was told to.
    Paused,
    /// The pods swap to it, some at a time.
    Promoting,
    /// All pods serve it, and the old one is kept to go back to.
    Soaking,
    /// The pods go back.
    Reverting,
}

/// A rollout.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// How far it is.
    pub phase: RolloutPhase,
    /// Since when.
    pub since: Time,
    /// The model on its way.
    pub candidate: PoolModel,
    /// Why it is where it is, and what to do if it needs somebody.
    pub message: String,
    /// Pairs of audio compared.
    pub samples: i64,
    /// Pairs aimed at.
    pub min_samples: i64,
    /// What each gate says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub gates: Vec<GateStatus>,
}

/// What a gate says.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// cer, mos, prosody, errors or latency.
    pub name: String,
    /// Whether it lets the candidate pass.
    pub verdict: Verdict,
    /// The stable model's value, with its unit.
    pub baseline: String,
    /// The candidate's.
    pub candidate: String,
    /// The difference, or ratio, with its interval.
    pub interval: String,
    /// The bound that it is held against.
    pub bound: String,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Verdict {
    /// The whole interval is within the bound.
    Pass,
    /// The whole interval is beyond the bound.
    Fail,
    /// The bound lies in the interval: more pairs are needed.
    Inconclusive,
}

/// How a rollout ended.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutEntry {
    /// The model, `name@version`.
    pub model: String,
    /// Digest of its manifest, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Promoted, Rejected, Reverted, Aborted or Superseded.
    pub outcome: String,
    /// Why.
    pub message: String,
    /// When.
    pub at: Time,
}

impl std::fmt::Display for RolloutPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl PoolModel {
    /// The built-in voice; the digest is that of its manifest, where known.
    pub fn built_in(digest: Option<String>) -> Self {
        Self { name: BUILT_IN.to_owned(), version: String::new(), digest }
    }

    /// In one word, as commands name it: `name@version`, or `built-in`, which
    /// alone has no version.
    pub fn title(&self) -> String {
        match self.version.as_str() {
            "" => BUILT_IN.to_owned(),
            version => format!("{}@{version}", self.name),
        }
    }
}

impl PoolStatus {
    /// The model that the pods are told to serve, in one word.
    pub fn model_title(&self) -> String {
        self.model.as_ref().map_or_else(|| BUILT_IN.to_owned(), PoolModel::title)
    }
}

impl RolloutStatus {
    /// Whether it waits to be promoted by hand, so that there is nothing about
    /// it to try again.
    pub fn awaits_promotion(&self) -> bool {
        self.phase == RolloutPhase::Paused && self.message.ends_with(AWAITS_PROMOTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_without_a_version_is_the_built_in_voice() {
        let named = PoolModel { name: "hibari".to_owned(), version: "2".to_owned(), digest: None };
        assert_eq!(named.title(), "hibari@2");
        assert_eq!(PoolModel::built_in(Some("sha256:0".to_owned())).title(), "built-in");
        let nameless = PoolModel { name: String::new(), version: String::new(), digest: None };
        assert_eq!(nameless.title(), "built-in");
    }
}
