//! The API of ttsfleet: the custom resources, their defaults and rules, and
//! every condition the operator sets.

#![expect(unreachable_pub, reason = "KubeSchema copies each public struct into a function body")]

pub mod amount;
mod annotations;
mod api;
pub mod conditions;
mod defaults;
mod fleet;
mod gates;
mod gateway;
mod generate;
pub mod labels;
mod lexicon;
mod marking;
mod model;
mod resilience;
mod resources;
mod rollout;
mod routing;
mod rules;
mod scheduling;
mod status;

pub use amount::Amount;
pub use annotations::{ABORT_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION};
pub use api::{Aliases, Api, Cors};
pub use fleet::{Capacity, Pool, TtsDeployment, TtsDeploymentSpec};
pub use gates::{
    CerGate, ErrorGate, FirstSoundGate, Gates, LatencyGate, LoudnessGate, MosGate, ProsodyGate, TrebleGate,
};
pub use gateway::{Expose, Gateway, GatewayResources, HttpRoute, Ingress, ParentRef};
pub use generate::{GeneratedFile, generate};
pub use lexicon::Lexicon;
pub use marking::Marking;
pub use model::{Model, Source};
pub use resilience::{Breaker, OnExhausted, QueueBreaker, Resilience, Retries, SlowCallBreaker, Timeouts};
pub use resources::{Gpu, GpuMode, Resources};
pub use rollout::{
    ConfigMapRef, Headroom, Judge, JudgeResources, Promotion, PromptsFrom, Recogniser, RecogniserKind,
    Rollout, Shadow, Strategy, Swap,
};
pub use routing::{
    Limits, LogFormat, Observability, OnOverflow, OnUnspeakable, Quota, Routing, STANDARD_TIER, SecretRef,
    Tier, TierFrom, Traces,
};
pub use scheduling::Scheduling;
pub use status::{
    AWAITS_PROMOTION, BUILT_IN, GateStatus, GatewayStatus, PoolModel, PoolStatus, RolloutEntry, RolloutPhase,
    RolloutStatus, ServedModel, TtsDeploymentStatus, Verdict,
};
