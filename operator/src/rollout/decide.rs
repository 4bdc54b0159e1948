//! The one function that decides.

use super::command::Commands;
use super::decision::{Decision, Progress, Quality, Wants};
use super::record::PoolRecord;
use super::view::{PoolSpec, PoolView};

/// What follows for a pool from what is asked, what is on record and what was
/// seen.
pub fn decide(spec: &PoolSpec, commands: &Commands, record: &PoolRecord, view: &PoolView) -> Decision {
    let _ = (spec, commands, view);
    Decision {
        record: record.clone(),
        orders: Vec::new(),
        wants: Wants::default(),
        progress: Progress {
            phase: ttsfleet_crds::RolloutPhase::Stable,
            rollout: None,
            serving: Vec::new(),
            history: Vec::new(),
        },
        quality: Quality {
            status: Some(true),
            reason: ttsfleet_crds::conditions::Reason::NothingToJudge,
            message: String::new(),
        },
        notes: Vec::new(),
        recheck: None,
    }
}
