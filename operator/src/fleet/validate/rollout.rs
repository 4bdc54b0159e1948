//! How a changed model reaches the pods, from what the spec says.

use ttsfleet_crds::amount::{Cpu, Memory};
use ttsfleet_crds::{Promotion, RecogniserKind, Rollout, Source, Strategy};
use ttsfleet_wire::admin::Headroom;
use ttsfleet_wire::judge::Recogniser;
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use super::{FleetPool, Invalid, amount, duration};
use crate::rollout::{Bounds, PoolSpec, ShadowSpec, SwapSpec};

/// How a changed model reaches the pods.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetRollout {
    /// Whether it is compared with the one before.
    pub strategy: Strategy,
    /// Share of callers' requests that it is put as well, in percent.
    pub percent: u32,
    /// Pods that it is tried in.
    pub shadow_replicas: i32,
    /// The comparison.
    pub shadow: ShadowSpec,
    /// ConfigMap with texts that fill up.
    pub prompts: Option<String>,
    /// How much worse it may be.
    pub gates: Bounds,
    /// Confidence of the gates, in percent.
    pub confidence_percent: u32,
    /// What listens.
    pub recogniser: Recogniser,
    /// Memory of the judge.
    pub judge_memory: Memory,
    /// CPU of the judge.
    pub judge_cpu: Cpu,
    /// Who swaps it in.
    pub promotion: Promotion,
    /// How.
    pub swap: SwapSpec,
    /// Whether a rollout is held where it is.
    pub paused: bool,
}

pub(super) fn read(rollout: &Rollout) -> Result<FleetRollout, Invalid> {
    let Rollout { strategy, shadow, gates, judge, promotion, swap, paused } = rollout;
    Ok(FleetRollout {
        strategy: *strategy,
        percent: shadow.percent.unsigned_abs(),
        shadow_replicas: shadow.replicas,
        shadow: ShadowSpec {
            min_samples: shadow.min_samples.unsigned_abs(),
            deadline: duration::read("rollout.shadow.deadline", &shadow.deadline)?,
        },
        prompts: shadow.prompts_from.config_map_ref.as_ref().map(|reference| reference.name.clone()),
        gates: Bounds::read(gates).map_err(Invalid::Gates)?,
        confidence_percent: gates.confidence_percent.unsigned_abs(),
        recogniser: recogniser(&judge.recogniser)?,
        judge_memory: judge.resources.memory.memory().map_err(amount("rollout.judge.resources.memory"))?,
        judge_cpu: judge.resources.cpu.cpu().map_err(amount("rollout.judge.resources.cpu"))?,
        promotion: *promotion,
        swap: SwapSpec {
            headroom: match swap.headroom {
                ttsfleet_crds::Headroom::Overlap => Headroom::Overlap,
                ttsfleet_crds::Headroom::DrainFirst => Headroom::DrainFirst,
            },
            allow_downtime: swap.allow_downtime,
            soak: duration::read("rollout.swap.soak", &swap.soak)?,
        },
        paused: *paused,
    })
}

fn recogniser(recogniser: &ttsfleet_crds::Recogniser) -> Result<Recogniser, Invalid> {
    match (recogniser.kind, &recogniser.source) {
        (RecogniserKind::Embedded, _) => Ok(Recogniser::Embedded),
        (RecogniserKind::Whisper, None) => Err(Invalid::WhisperSource),
        (RecogniserKind::Whisper, Some(source)) => Ok(Recogniser::Whisper {
            record: ModelRecord {
                name: "whisper".to_owned(),
                version: source.digest.clone().unwrap_or_default(),
                source: Some(model_source(source)),
            },
        }),
    }
}

/// Where a model folder comes from.
pub(super) fn model_source(source: &Source) -> ModelSource {
    ModelSource {
        uri: source.uri.clone(),
        digest: source.digest.clone(),
        secret: source.secret_ref.as_ref().map(|secret| secret.name.clone()),
    }
}

impl FleetRollout {
    /// What is asked of one pool.
    pub fn of_pool(&self, pool: &FleetPool) -> PoolSpec {
        PoolSpec {
            pool: pool.name.clone(),
            model: pool.model.clone(),
            replicas: pool.replicas.unsigned_abs(),
            memory: pool.memory.bytes(),
            strategy: self.strategy,
            fresh_baseline: pool.fresh_baseline(),
            shadow: self.shadow,
            gates: self.gates,
            promotion: self.promotion,
            swap: self.swap,
            paused: self.paused,
        }
    }
}
