//! What is asked for, and what was seen.

use std::time::Duration;

use jiff::Timestamp;
use ttsfleet_crds::{Promotion, Strategy};
use ttsfleet_wire::admin::{Headroom, ModelStatus};
use ttsfleet_wire::judge::Report;
use ttsfleet_wire::model::ModelRecord;

use super::gates::Bounds;
use super::record::same_model;

/// What the spec asks of one pool, checked and read.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSpec {
    /// The pool's name.
    pub pool: String,
    /// The model to be served.
    pub model: ModelRecord,
    /// Pods asked for.
    pub replicas: u32,
    /// Memory of one pod, in bytes.
    pub memory: u64,
    /// Whether the model is compared first.
    pub strategy: Strategy,
    /// Whether it is compared with fresh pods, which as those that it is tried in
    /// do nothing else; otherwise with the pods that serve.
    pub fresh_baseline: bool,
    /// The pods that it is compared in.
    pub shadow: ShadowSpec,
    /// How much worse it may be.
    pub gates: Bounds,
    /// Who swaps a model in that has passed.
    pub promotion: Promotion,
    /// How it is swapped in.
    pub swap: SwapSpec,
    /// Whether a rollout is held where it is.
    pub paused: bool,
}

/// The comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowSpec {
    /// Pairs to compare before a candidate can pass.
    pub min_samples: u32,
    /// When to stop asking, counted from the start of Staging and again from
    /// that of Shadowing.
    pub deadline: Duration,
}

/// How a model is swapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapSpec {
    /// Where the new model finds room.
    pub headroom: Headroom,
    /// Whether the only pod may be swapped although it speaks to nobody
    /// meanwhile; looked at with [`Headroom::DrainFirst`].
    pub allow_downtime: bool,
    /// How long the old model is kept.
    pub soak: Duration,
}

/// What was seen of one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolView {
    /// The pool's pods that are not being deleted.
    pub pods: Vec<PodView>,
    /// The shadow's, likewise.
    pub shadow: Vec<PodView>,
    /// The fresh pods with the stable model, likewise.
    pub baseline: Vec<PodView>,
    /// What the judge last said.
    pub report: Option<Report>,
    /// What keeps the judge from running, in words.
    pub judge_problem: Option<String>,
    /// The time.
    pub now: Timestamp,
}

impl PoolView {
    /// The model that most of the pods serve which take requests.
    pub fn served_by_most(&self) -> Option<&ModelRecord> {
        let served = || self.pods.iter().filter(|pod| pod.ready).filter_map(PodView::serving);
        let pods_with = |model| served().filter(|loaded| same_model(&loaded.record, model)).count();
        served().map(|loaded| &loaded.record).max_by_key(|model| pods_with(model))
    }
}

/// One pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it takes requests.
    pub ready: bool,
    /// Whether it runs the current template, with all that a newly named model
    /// needs mounted.
    pub current: bool,
    /// What it says of its models; none if it could not be asked. Pods that are
    /// not ready are asked as well.
    pub status: Option<ModelStatus>,
    /// Restarts of its container.
    pub restarts: u32,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}

/// What is wrong with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In one word.
    pub kind: ProblemKind,
    /// In words, among them what Kubernetes or the container said.
    pub message: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// No node takes it.
    Unschedulable,
    /// Its container ended with a failure, or was killed for its memory.
    Crashed,
    /// Another.
    Other,
}
