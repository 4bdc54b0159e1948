//! How a changed model reaches the pods: tested beside the old one, compared,
//! swapped in or refused.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::defaults;
use crate::{Amount, Gates, Source, rules};

/// How a changed model reaches the pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Shadow: the new model is compared with the old one on the same texts
    /// before any caller hears it. Direct: it is swapped in untested.
    #[serde(default)]
    pub strategy: Strategy,

    /// The pods that the new model is tested in.
    #[serde(default)]
    pub shadow: Shadow,

    /// How much worse it may be.
    #[serde(default)]
    pub gates: Gates,

    /// The pod that listens and compares.
    #[serde(default)]
    pub judge: Judge,

    /// Automatic: a model that passes every gate is swapped in. Manual: it
    /// waits for `kubectl ttsfleet promote`.
    #[serde(default)]
    pub promotion: Promotion,

    /// How it is swapped in.
    #[serde(default)]
    pub swap: Swap,

    /// Holds a rollout where it is. What serves keeps serving.
    #[serde(default)]
    pub paused: bool,
}

/// Whether a new model is tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Strategy {
    /// It is compared with the old one first.
    #[default]
    Shadow,
    /// It is swapped in untested.
    Direct,
}

/// Who swaps a model in that has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Promotion {
    /// The operator.
    #[default]
    Automatic,
    /// The operator, once it is told to.
    Manual,
}

/// The pods that a new model is tested in: of the pool's own shape, out of
/// callers' reach.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Share of the pool's requests that both models are asked as well, in
    /// percent.
    #[serde(default = "default_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,

    /// Pods with the new model, and as many fresh ones with the old model, which
    /// it is compared with. With gpu.mode: Exclusive it is compared with the pods
    /// that serve.
    #[serde(default = "default_shadow_replicas")]
    #[schemars(range(min = 1, max = 10))]
    pub replicas: i32,

    /// Texts to compare before a decision; one that comes again counts once.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 10, max = 10000))]
    pub min_samples: i32,

    /// When to stop asking if there is no clear answer, such as 1h; 1m to 24h.
    /// The old model then keeps serving.
    #[serde(default = "default_deadline")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::seconds("rollout.shadow.deadline", "1m", "24h", "30m or 1h"))]
    pub deadline: String,

    /// Texts that are spoken by both models, every fifth time and where callers
    /// send too few.
    #[serde(default)]
    pub prompts_from: PromptsFrom,
}

/// Where the texts come from that fill up.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptsFrom {
    /// A ConfigMap of the fleet's namespace with the key `prompts.txt`, one
    /// text a line, as many as shadow.minSamples where callers send none; after
    /// a tab how it is said, where its letters do not tell ("Dr. Lee", a tab,
    /// "doctor lee"). Built-in texts if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapRef>,
}

/// A ConfigMap of the fleet's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("configMapRef.name"))]
    pub name: String,
}

/// The pod that listens and compares. It is there only while a rollout needs it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judge {
    /// What listens.
    #[serde(default)]
    pub recogniser: Recogniser,

    /// What the pod gets, and is held to.
    #[serde(default)]
    pub resources: JudgeResources,
}

/// What listens.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.kind == 'Whisper') == has(self.source)").message(
    "rollout.judge.recogniser.source goes with kind: Whisper, which needs it: write the address of a Whisper model \
     folder there, or leave it out and take kind: Embedded"
))]
#[x_kube(validation = Rule::new(
    "!has(self.source) || self.source.uri.startsWith('pvc://') || self.source.uri.startsWith('file://')"
).message(
    "rollout.judge.recogniser.source.uri must be pvc://claim/folder or file:///folder: the judge fetches nothing, so \
     put the Whisper model onto a volume"
))]
pub struct Recogniser {
    /// Embedded: pocketsphinx, which is in the image and hears English.
    /// Whisper: a Whisper model, which hears what it was trained for.
    #[serde(default)]
    pub kind: RecogniserKind,

    /// Whisper only: where its model folder comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Kinds of recognisers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum RecogniserKind {
    /// The one in the image.
    #[default]
    Embedded,
    /// A Whisper model.
    Whisper,
}

/// What the judge gets, and is held to. Each amount is request and limit in one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgeResources {
    /// Memory, from 256Mi to 256Gi.
    #[serde(default = "default_judge_memory")]
    #[x_kube(validation = rules::memory("rollout.judge.resources.memory", "256Mi", "256Gi", "512Mi or 8Gi"))]
    pub memory: Amount,

    /// CPUs, from 100m (a tenth) to 64.
    #[serde(default = "default_judge_cpu")]
    #[x_kube(validation = rules::cpu("rollout.judge.resources.cpu", "100m", "64"))]
    pub cpu: Amount,
}

/// How a model is swapped in.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swap {
    /// Overlap: the new model is loaded beside the old one, whose memory it
    /// needs once more. DrainFirst: one pod at a time leaves service, unloads
    /// the old model and loads the new one.
    #[serde(default)]
    pub headroom: Headroom,

    /// DrainFirst only: swap although the pool has a single pod, and nobody
    /// speaks meanwhile.
    #[serde(default)]
    pub allow_downtime: bool,

    /// How long the old model is kept after the swap, to go back to at once if
    /// the new one does worse; 0s to 24h.
    #[serde(default = "default_soak")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::seconds("rollout.swap.soak", "0s", "24h", "60s or 10m"))]
    pub soak: String,
}

/// Where a new model finds room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Headroom {
    /// Beside the old one.
    #[default]
    Overlap,
    /// In its place.
    DrainFirst,
}

defaults! {
    Rollout {
        strategy: Strategy::default(),
        shadow: Shadow::default(),
        gates: Gates::default(),
        judge: Judge::default(),
        promotion: Promotion::default(),
        swap: Swap::default(),
        paused: false,
    }
    Shadow {
        percent: default_percent(),
        replicas: default_shadow_replicas(),
        min_samples: default_min_samples(),
        deadline: default_deadline(),
        prompts_from: PromptsFrom::default(),
    }
    Judge { recogniser: Recogniser::default(), resources: JudgeResources::default() }
    JudgeResources { memory: default_judge_memory(), cpu: default_judge_cpu() }
    Swap { headroom: Headroom::default(), allow_downtime: false, soak: default_soak() }
}

fn default_percent() -> i32 {
    5
}

fn default_shadow_replicas() -> i32 {
    1
}

fn default_min_samples() -> i32 {
    300
}

fn default_deadline() -> String {
    "1h".to_owned()
}

fn default_judge_memory() -> Amount {
    "512Mi".into()
}

fn default_judge_cpu() -> Amount {
    "1".into()
}

fn default_soak() -> String {
    "60s".to_owned()
}
