//! What becomes of one attempt.

use ttsfleet_serving::Failure;

/// What became of one attempt.
#[derive(Debug)]
pub enum Outcome<T> {
    /// There is audio.
    Answer(T),
    /// The pod found the request itself at fault; no other pod would not.
    Declined(T),
    /// The pod takes no more for now: not a failure, and not worth a pause.
    Full(Refusal),
    /// No connection, or the pod has stopped answering anything: not worth a
    /// pause, as another pod is asked.
    Unreachable(Failure),
    /// The connection broke before anything came of it: not worth a pause
    /// either, but others of the pod's may stand.
    Disconnected(Failure),
    /// The pod failed, or had no audio in time.
    Failed(Failure),
}

/// A pod's refusal for want of room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In the pod's words.
    pub failure: Failure,
    /// Whether it is this caller who has more than its share of the pod, and
    /// others are still let in.
    pub over_share: bool,
}
