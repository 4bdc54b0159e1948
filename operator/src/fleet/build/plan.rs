//! What a pass has decided about a pool's models.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use ttsfleet_wire::model::ModelRecord;

use super::mounts::Mounts;
use crate::rollout::{PoolRecord, Wants};

/// What a pass has decided about a pool's models, and found of its pods.
#[derive(Clone, Debug)]
pub struct PoolPlan {
    /// What is on record.
    pub record: PoolRecord,
    /// What has to be there beside the pool's pods.
    pub wants: Wants,
    /// Texts that fill up.
    pub prompts: Prompts,
    /// The pool's Deployment as it is.
    pub live: Option<Arc<Deployment>>,
}

/// Texts that are put to both models among callers', and where they send too few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prompts {
    /// Those of the judge.
    #[default]
    BuiltIn,
    /// The fleet's own.
    Given(Vec<String>),
    /// The fleet's own, which are not there, with words about it. The judge
    /// waits for them.
    Missing(String),
}

impl PoolPlan {
    /// That of a pool with this on record, where nothing is under way.
    pub fn at_rest(record: PoolRecord) -> Self {
        Self { record, wants: Wants::default(), prompts: Prompts::default(), live: None }
    }

    /// Every model that the pool's pods may be asked for; `wanted` is the one
    /// that the spec names.
    pub(super) fn models<'a>(&'a self, wanted: &'a ModelRecord) -> Vec<&'a ModelRecord> {
        let PoolRecord { stable, previous, rollout, .. } = &self.record;
        let mut models = vec![stable, wanted];
        models.extend(previous.iter().map(|previous| &previous.record));
        models.extend(rollout.iter().map(|rollout| &rollout.candidate));
        models.extend(&self.wants.shadow);
        models.extend(&self.wants.baseline);
        models
    }

    pub(super) fn mounts(&self, wanted: &ModelRecord) -> Mounts {
        Mounts::of(self.models(wanted))
    }
}
