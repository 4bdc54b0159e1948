//! What follows from a record, a spec and a view.

use std::time::Duration;

use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{RolloutEntry, RolloutStatus, ServedModel};
use ttsfleet_wire::admin::Headroom;
use ttsfleet_wire::model::ModelRecord;

use super::record::PoolRecord;

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The next record. It is written before anything else is done; a pass that
    /// cannot write it does nothing else.
    pub record: PoolRecord,
    /// What the pool's pods are asked.
    pub orders: Vec<Order>,
    /// What has to be there beside them.
    pub wants: Wants,
    /// What the fleet's status says of the pool.
    pub progress: Progress,
    /// The condition QualityGate.
    pub quality: Quality,
    /// Events, to be published once the record is written.
    pub notes: Vec<Note>,
    /// When to look again although nothing has changed.
    pub recheck: Option<Duration>,
}

/// Something asked of one of the pool's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The pod's name.
    pub pod: String,
    /// Its uid: a successor of the same name is not meant.
    pub uid: String,
    /// What.
    pub verb: Verb,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Have the model in the store.
    Stage(ModelRecord),
    /// Serve it.
    Swap(ModelRecord, Headroom),
    /// Serve the previous one again.
    Revert,
    /// Forget the previous one.
    Free,
    /// Not asked of the pod: it is deleted, for this reason, so that its
    /// Deployment makes a new one.
    Recycle(String),
}

/// What has to be there beside the pool's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Shadow pods with this model.
    pub shadow: Option<ModelRecord>,
    /// Fresh pods of the same shape with this model, which it is compared with;
    /// none where it is compared with the pods that serve.
    pub baseline: Option<ModelRecord>,
    /// Tells the shadow of one trial from that of the next; fit for a label's
    /// value. Pods of another trial are not shown in
    /// [`super::PoolView::shadow`], because what became of them says nothing of
    /// this one.
    pub trial: String,
    /// The judge, and what it compares.
    pub judge: Option<Comparison>,
    /// A share of callers' requests for the judge.
    pub mirror: bool,
}

/// What the judge compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// [`ttsfleet_wire::judge::Session::id`]; a report on another is not looked at.
    pub id: String,
    /// Digest of the stable model, if a pod has reported one.
    pub baseline_digest: Option<String>,
    /// Digest of the candidate.
    pub candidate_digest: Option<String>,
}

/// What the fleet's status says of the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The rollout under way, or the last one if it was refused.
    pub rollout: Option<RolloutStatus>,
    /// What ready pods serve, most pods first; empty if none could be asked.
    pub serving: Vec<ServedModel>,
    /// How the last rollouts ended.
    pub history: Vec<RolloutEntry>,
}

/// The condition QualityGate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// True, false or unknown.
    pub status: Option<bool>,
    /// In one word.
    pub reason: Reason,
    /// In words.
    pub message: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should look.
    pub warning: bool,
    /// In one word.
    pub reason: &'static str,
    /// In words.
    pub note: String,
}
