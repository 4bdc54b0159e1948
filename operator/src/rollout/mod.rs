//! How a changed model reaches a pool's pods: what is on record, what was
//! seen, and what follows. Pure: no client, no clock, nothing that waits.
//!
//! One pass: read the [`PoolRecord`], observe a [`PoolView`], [`decide`], write
//! the next record, and only then carry out the orders and wants. A pass that
//! dies in between leaves a record from which the next goes on, because every
//! step is decided from what the record, the spec and the pods say, and every
//! order may be given again.

mod apply;
mod baseline;
mod command;
mod decide;
mod decision;
mod gates;
mod offers;
mod orders;
mod pods;
mod record;
mod report;
mod swap;
mod trial;
mod view;

pub use command::{ABORT_ANNOTATION, Command, Commands, PROMOTE_ANNOTATION, RETRY_ANNOTATION};
pub use decide::decide;
pub use decision::{Comparison, Decision, Note, Order, Progress, Quality, Verb, Wants};
pub use gates::{Bounds, GATE_NAMES};
pub use record::{
    Ended, Ending, Entry, Hold, Outcome, Performance, PoolRecord, Previous, ROLLOUT_KEY, Rollout, Seen,
    same_model,
};
pub use view::{PodView, PoolSpec, PoolView, Problem, ProblemKind, ShadowSpec, SwapSpec};

#[cfg(test)]
mod tests;
