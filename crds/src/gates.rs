//! How much worse than the old one a new model may be.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::defaults::defaults;
use crate::rules;

/// How much worse than the old one the new model may be. Decimal numbers in
/// quotes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// Character error rate of what a recogniser understands.
    #[serde(default)]
    pub cer: CerGate,

    /// Estimated mean opinion score.
    #[serde(default)]
    pub mos: MosGate,

    /// Melody, rhythm and emphasis, compared on the same text.
    #[serde(default)]
    pub prosody: ProsodyGate,

    /// Loudness, whether louder or quieter.
    #[serde(default)]
    pub loudness: LoudnessGate,

    /// What lies above 8 kHz, whether more or less of it.
    #[serde(default)]
    pub treble: TrebleGate,

    /// Failed requests.
    #[serde(default)]
    pub errors: ErrorGate,

    /// Time until something is heard: to the first audio, and then the silence
    /// that it begins with.
    #[serde(default)]
    pub first_sound: FirstSoundGate,

    /// Time to the last audio.
    #[serde(default)]
    pub latency: LatencyGate,

    /// Confidence with which a gate passes or fails, in percent.
    #[serde(default = "default_confidence")]
    #[schemars(range(min = 80, max = 99))]
    pub confidence_percent: i32,
}

/// Character error rate.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CerGate {
    /// Largest increase, in percentage points; "0.01" to "100". That so few texts
    /// are spoilt wholly takes about 4 pairs divided by it to tell (2 points: 200
    /// to 300 pairs): ask for as many (shadow.minSamples).
    #[serde(default = "default_cer")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.cer.maxIncreasePoints", "0.01", "100", "\"2.0\""))]
    pub max_increase_points: String,
}

/// Estimated mean opinion score.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MosGate {
    /// Largest decrease, on the scale of 1 to 5; "0.01" to "4".
    #[serde(default = "default_mos")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.mos.maxDecrease", "0.01", "4", "\"0.10\""))]
    pub max_decrease: String,
}

/// Melody, rhythm and emphasis.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProsodyGate {
    /// Largest distance from the old model's; docs/JUDGE.md says what it is
    /// made of. "0.01" to "100".
    #[serde(default = "default_prosody")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.prosody.maxDistance", "0.01", "100", "\"0.25\""))]
    pub max_distance: String,
}

/// Loudness.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoudnessGate {
    /// Largest difference of integrated loudness, in the mean over all texts, in
    /// decibels; "0.1" to "20".
    #[serde(default = "default_loudness")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.loudness.maxDifferenceDb", "0.1", "20", "\"3\""))]
    pub max_difference_db: String,
}

/// What lies above 8 kHz.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrebleGate {
    /// Largest difference of its level relative to the whole, in the mean over
    /// all texts, in decibels; "0.1" to "20".
    #[serde(default = "default_treble")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.treble.maxDifferenceDb", "0.1", "20", "\"6\""))]
    pub max_difference_db: String,
}

/// Failed requests.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorGate {
    /// Largest increase, in percentage points; "0.01" to "100". A hundred pairs
    /// cannot tell less than about four points: ask for more of them
    /// (shadow.minSamples) where this is tighter.
    #[serde(default = "default_errors")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.errors.maxIncreasePoints", "0.01", "100", "\"5\""))]
    pub max_increase_points: String,
}

/// Time until something is heard.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstSoundGate {
    /// Largest ratio of the 95th percentiles, new to old; "1" to "100", which
    /// lets everything pass. A lower one takes a hundred pairs at least.
    #[serde(default = "default_first_sound")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.firstSound.maxP95Ratio", "1", "100", "\"1.50\""))]
    pub max_p95_ratio: String,
}

/// Time to the last audio.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyGate {
    /// Largest ratio of the 95th percentiles, new to old; "1" to "100", which
    /// lets everything pass. A lower one takes a hundred pairs at least.
    #[serde(default = "default_latency")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = rules::decimal("rollout.gates.latency.maxP95Ratio", "1", "100", "\"1.20\""))]
    pub max_p95_ratio: String,
}

defaults! {
    Gates {
        cer: CerGate::default(),
        mos: MosGate::default(),
        prosody: ProsodyGate::default(),
        loudness: LoudnessGate::default(),
        treble: TrebleGate::default(),
        errors: ErrorGate::default(),
        first_sound: FirstSoundGate::default(),
        latency: LatencyGate::default(),
        confidence_percent: default_confidence(),
    }
    CerGate { max_increase_points: default_cer() }
    MosGate { max_decrease: default_mos() }
    ProsodyGate { max_distance: default_prosody() }
    LoudnessGate { max_difference_db: default_loudness() }
    TrebleGate { max_difference_db: default_treble() }
    ErrorGate { max_increase_points: default_errors() }
    FirstSoundGate { max_p95_ratio: default_first_sound() }
    LatencyGate { max_p95_ratio: default_latency() }
}

fn default_cer() -> String {
    "2.0".to_owned()
}

fn default_mos() -> String {
    "0.10".to_owned()
}

fn default_prosody() -> String {
    "0.25".to_owned()
}

fn default_loudness() -> String {
    "3".to_owned()
}

fn default_treble() -> String {
    "6".to_owned()
}

fn default_errors() -> String {
    "5".to_owned()
}

fn default_first_sound() -> String {
    "1.50".to_owned()
}

fn default_latency() -> String {
    "1.20".to_owned()
}

fn default_confidence() -> i32 {
    95
}
