//! What is on record of a pool's model: the content of its model ConfigMap.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ttsfleet_crds::{GateStatus, RolloutPhase};
use ttsfleet_wire::model::ModelRecord;

/// The key of the model ConfigMap that holds a [`PoolRecord`] as JSON, beside
/// [`ttsfleet_wire::model::MODEL_KEY`], which holds its `stable`.
pub const ROLLOUT_KEY: &str = "rollout.json";

/// Ended rollouts that are kept.
pub(super) const MOST_ENTRIES: usize = 10;

/// The operator's memory of a pool's models. Read with tolerance: fields that
/// are missing are empty, and unknown ones are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolRecord {
    /// What a pod loads when it starts, and what the pool serves unless a
    /// rollout is under way. It becomes the candidate at the moment when all
    /// pods serve that, and the old model again at the moment when they are to
    /// go back.
    pub stable: ModelRecord,
    /// What was stable before; only while the candidate soaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// The rollout under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How the last rollout ended, as long as the spec still names its model: a
    /// model that was refused is not tried again before the spec has named
    /// another one, or somebody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Ended>,
    /// Commands that have had their effect, as long as they are still written
    /// on the fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<String>,
    /// How the last rollouts ended, the newest first; ten at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Entry>,
}

/// What was stable before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previous {
    /// The model.
    pub record: ModelRecord,
    /// Digest of its manifest as the pods reported it.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A rollout under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The model on its way.
    pub candidate: ModelRecord,
    /// Digest of its manifest as the first pod that loaded it reported it; all
    /// others must report the same.
    #[serde(default)]
    pub candidate_digest: Option<String>,
    /// Digest of the model that it is compared with.
    #[serde(default)]
    pub baseline_digest: Option<String>,
    /// What callers may ask of that model and not of the candidate, in words, as
    /// the pods told when both were loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How far it is; never [`RolloutPhase::Stable`].
    pub phase: RolloutPhase,
    /// Since when; moved on by the time for which the spec held it.
    pub since: Timestamp,
    /// Whether it is compared with the stable model before it is swapped in.
    pub tested: bool,
    /// Why it went where it is.
    pub message: String,
    /// Pairs compared when it left Shadowing.
    #[serde(default)]
    pub samples: u64,
    /// What the gates said then.
    #[serde(default)]
    pub gates: Vec<GateStatus>,
    /// What it waits for; only in [`RolloutPhase::Paused`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Since when the spec holds it where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    /// Since when no pod of the pool is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Timestamp>,
    /// Tells this trial of it from the next; fit for a label's value.
    #[serde(default)]
    pub trial: String,
    /// How far the pods are with staging and swapping, all together; while
    /// Promoting.
    #[serde(default)]
    pub headway: usize,
    /// When that last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headway_at: Option<Timestamp>,
    /// How the stable model did before the first pod was swapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Performance>,
    /// What each pod (by its uid) had behind it before it was asked to take
    /// the candidate, so that old failures are not held against it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen: BTreeMap<String, Seen>,
    /// How it will have ended; only in [`RolloutPhase::Reverting`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// What a rollout in [`RolloutPhase::Paused`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hold {
    /// It has passed, or is not tested, and is promoted by hand.
    AwaitingPromotion,
    /// It has passed, and lacks something that callers may ask for.
    OffersLess,
    /// No clear answer came in time.
    Inconclusive,
    /// Its pods found no place to run in time.
    ShadowUnschedulable,
}

/// What pods made of their requests, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Performance {
    /// Requests answered or failed.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Sum of the times to first audio of those answered, in microseconds.
    pub first_audio_us: u64,
}

/// What a pod had behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Whether it took requests. One that did not is neither waited for nor held
    /// against the candidate.
    pub ready: bool,
    /// Restarts of its container.
    pub restarts: u32,
    /// Loads that had failed.
    pub failed_loads: u64,
    /// Whether it reported a failure of the candidate.
    pub error: bool,
}

/// How a rollout will have ended once the pods are back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub message: String,
    /// Whether the model is not to be tried again; false where the spec itself
    /// has turned away from it.
    pub refused: bool,
}

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All pods serve the candidate, and the soak is over.
    Promoted,
    /// It failed a gate or could not be loaded; no caller has heard it.
    Rejected,
    /// It failed after pods had been swapped to it.
    Reverted,
    /// Somebody called it off.
    Aborted,
    /// The spec names another one.
    Superseded,
}

/// The last rollout, ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The model.
    pub candidate: ModelRecord,
    /// Digest of its manifest, where it was reported or given.
    #[serde(default)]
    pub digest: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Pairs compared.
    #[serde(default)]
    pub samples: u64,
    /// What the gates said.
    #[serde(default)]
    pub gates: Vec<GateStatus>,
}

/// A line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The model, `name@version`.
    pub model: String,
    /// Digest of its manifest, where it was reported or given.
    #[serde(default)]
    pub digest: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

impl PoolRecord {
    /// The record of a pool that has none yet: its first model is not tested,
    /// because there is nothing to compare it with.
    pub fn first(model: ModelRecord) -> Self {
        Self { stable: model, ..Self::default() }
    }

    /// Reads the model ConfigMap's two keys; none if neither can be read. What
    /// pods load at start survives when the rest is missing or unreadable.
    pub fn read(model: Option<&str>, rollout: Option<&str>) -> Option<Self> {
        let whole = rollout.and_then(|text| serde_json::from_str(text).ok());
        whole.or_else(|| model.and_then(|text| serde_json::from_str(text).ok()).map(Self::first))
    }
}

impl Outcome {
    /// Whether the candidate was found wanting or called off.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Rejected | Self::Reverted | Self::Aborted)
    }
}

impl Ended {
    /// Whether it speaks of this model: by what it is called and where it
    /// comes from, or by its bytes whatever they are called.
    pub fn is_about(&self, model: &ModelRecord) -> bool {
        let pinned = pinned(model);
        same_model(&self.candidate, model) || (pinned.is_some() && pinned == self.digest.as_deref())
    }
}

/// Whether two records name the same model: the same bytes where both are
/// pinned, wherever they are fetched from.
pub fn same_model(a: &ModelRecord, b: &ModelRecord) -> bool {
    let same_bytes = match (&a.source, &b.source) {
        (None, None) => true,
        (Some(a), Some(b)) if a.digest.is_some() || b.digest.is_some() => a.digest == b.digest,
        (Some(a), Some(b)) => a.uri == b.uri,
        _ => false,
    };
    same_bytes && a.name == b.name && a.version == b.version
}

/// The digest that a model must have.
pub(super) fn pinned(model: &ModelRecord) -> Option<&str> {
    model.source.as_ref()?.digest.as_deref()
}
