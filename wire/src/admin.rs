//! The pods' admin API: how the operator has a pod stage, swap, revert and
//! free models, and what the pod says of them.
//!
//! Every request carries `Authorization: Bearer TOKEN`; the pod knows only the
//! token's sha256 ([`crate::pod::ENV_ADMIN_TOKEN_SHA256`]). Every verb says what shall hold
//! and may be sent again at any time: what holds already, or is under way, is
//! not begun anew. The answer is always [`ModelStatus`], at once, with 200, or
//! 202 where work has begun; a request that cannot be taken gets an error of the
//! catalogue.

use serde::{Deserialize, Serialize};

use crate::model::ModelRecord;

/// Path of `GET` [`ModelStatus`].
pub const STATUS_PATH: &str = "/v1/model";
/// Path of `POST` [`StageOrder`]: have the folder in the store, verified.
pub const STAGE_PATH: &str = "/v1/model/stage";
/// Path of `POST` [`SwapOrder`]: serve this model; staged first if need be.
pub const SWAP_PATH: &str = "/v1/model/swap";
/// Path of `POST` without a body: serve the previous model again.
pub const REVERT_PATH: &str = "/v1/model/revert";
/// Path of `POST` without a body: forget the previous model and give its memory back.
pub const FREE_PATH: &str = "/v1/model/free";

/// A model to be brought into the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageOrder {
    /// The model.
    pub record: ModelRecord,
}

/// A model to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SwapOrder {
    /// The model.
    pub record: ModelRecord,
    /// Where the new model finds room.
    pub headroom: Headroom,
}

/// Where the new model finds room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Headroom {
    /// Beside the old one.
    #[default]
    Overlap,
    /// In its place: the pod becomes unready, finishes its requests, unloads,
    /// loads and becomes ready again. A load that fails brings the old one back.
    DrainFirst,
}

/// What a pod says of its models.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// What it serves; none until the first model has loaded.
    pub serving: Option<LoadedModel>,
    /// What it served before, kept for an instant revert.
    pub previous: Option<LoadedModel>,
    /// What is in the store, verified.
    pub staged: Vec<ModelRecord>,
    /// What it is doing.
    pub task: Option<Task>,
    /// The last thing that failed, until the same thing succeeds.
    pub error: Option<ModelError>,
    /// Models flipped to since the start, reverts included.
    pub swaps: u64,
    /// Failures since the start: every load and warm-up that failed, and every
    /// other failure that does not pass by itself, such as a folder refused. An
    /// error that is met a second time is told from the first by it.
    pub failed_loads: u64,
    /// Memory that did not come back when a model was freed, in bytes; 0 if it did.
    pub unreturned_bytes: u64,
}

/// A model in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedModel {
    /// As it was asked for.
    pub record: ModelRecord,
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// What came of requests while it was the one served.
    pub served: Served,
    /// How long the ways to it took.
    pub timing: Timing,
    /// What callers may ask of it.
    #[serde(default)]
    pub offers: Offers,
}

/// What callers may ask of a model; all of it empty where a pod does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offers {
    /// Names of its voices, the default first.
    pub voices: Vec<String>,
    /// Languages that it speaks, as BCP 47 tags.
    pub languages: Vec<String>,
    /// Samples a second of its audio, and so of raw PCM where no rate is asked for.
    pub sample_rate: u32,
}

/// What came of requests, since a model was flipped to (again).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Served {
    /// Requests answered or failed; neither refusals nor callers' own faults.
    pub requests: u64,
    /// Those that failed: 5xx, or broken off.
    pub failed: u64,
    /// Sum of the times to first audio of those answered, in microseconds.
    pub first_audio_us: u64,
}

/// How long the ways to a model took, in milliseconds; 0 where it was skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Bytes fetched into the store.
    pub staged_bytes: u64,
    /// Fetching and verifying.
    pub stage_ms: u64,
    /// Loading into memory.
    pub load_ms: u64,
    /// Speaking the check sentences.
    pub warm_up_ms: u64,
}

/// What a pod is doing about a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// The model it is about.
    pub record: ModelRecord,
    /// How far it is.
    pub step: Step,
    /// Bytes in the store so far.
    pub bytes_done: u64,
    /// Bytes of the whole folder; 0 until known.
    pub bytes_total: u64,
    /// What went wrong on the way and is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Steps of the way to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Fetching into the store.
    Staging,
    /// Finishing requests before the old model goes.
    Draining,
    /// Loading into memory.
    Loading,
    /// Speaking check sentences, whose audio is judged.
    WarmingUp,
}

/// Why a model is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelError {
    /// The model.
    pub record: ModelRecord,
    /// Where it failed.
    pub step: Step,
    /// In words, with what to do.
    pub message: String,
    /// Whether the same thing may succeed later without anybody mending it.
    pub transient: bool,
}
