//! Every condition type and reason that the operator sets.

use std::fmt;

/// The type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Everything the spec asks for is in place and serves.
    Ready,
    /// At least one pod of a pool serves, and one of the gateway reaches it.
    Available,
    /// A change is on its way to the pods.
    Progressing,
    /// Something is wrong that does not go away by waiting.
    Degraded,
    /// What was found of the newest model: true once it was let through.
    QualityGate,
    /// Answers do not say that they are synthetic speech, as the spec asks; there
    /// is no such condition otherwise.
    Unmarked,
    /// Something in the cluster changes what is written before it is kept, and the
    /// fleet runs with that; there is no such condition otherwise.
    Adjusted,
    /// Every entry of spec.lexicon is used; there is no such condition without one.
    LexiconApplied,
}

impl ConditionType {
    /// All types, in the order they are reported.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Available,
        Self::Progressing,
        Self::Degraded,
        Self::QualityGate,
        Self::Unmarked,
        Self::Adjusted,
        Self::LexiconApplied,
    ];
}

/// The reason of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every pod asked for runs the current template and serves.
    AllPodsReady,
    /// The fleet is scaled to no pods.
    ScaledToZero,
    /// Pods are being started, replaced or removed.
    RollingOut,
    /// Some pods serve, others do not yet.
    SomePodsNotReady,
    /// No pod of any pool serves.
    NoPodReady,
    /// No pod of the gateway serves, so that the pools are out of reach.
    NoGatewayReady,
    /// At least one pod serves.
    PodsServing,
    /// The current template runs everywhere.
    Complete,
    /// Nothing is wrong.
    AsExpected,
    /// The spec cannot be carried out as written.
    InvalidSpec,
    /// An object of a name the fleet needs belongs to somebody else.
    NameConflict,
    /// Children of a deleted fleet of the same name are still going away.
    WaitingForCleanup,
    /// The API server refuses a child object.
    ChangeRefused,
    /// The cluster lacks the kind of object that spec.expose asks for.
    ExposeUnavailable,
    /// Something in the cluster keeps changing a child back.
    Overridden,
    /// The API server refuses the pods, by quota or policy.
    PodsRefused,
    /// No node can take a pod.
    Unschedulable,
    /// A container was killed because it used more memory than it has.
    OutOfMemory,
    /// A server could not load its model.
    ModelLoadFailed,
    /// A container keeps ending.
    CrashLooping,
    /// The image cannot be pulled or started.
    ImageUnavailable,
    /// The kubelet evicted a pod.
    Evicted,
    /// A pod waits for a volume: that of a Secret which is not there, say.
    VolumeUnavailable,
    /// The gateway's ServiceAccount was deleted and made again, so that the API
    /// server refuses the pods that were there before.
    AccountReplaced,
    /// Something answers callers that is not the fleet's.
    StrayPod,
    /// Requests do not reach the pods that are ready, or reach others.
    EndpointsDiffer,
    /// The rollout has made no headway for its deadline.
    RolloutStalled,
    /// The pods serve what the spec says.
    NothingToJudge,
    /// A new model is being fetched and loaded in the shadow.
    Staging,
    /// It is being compared.
    Judging,
    /// It has passed every gate.
    Passed,
    /// It was swapped in untested, as the spec says.
    Untested,
    /// It has failed a gate, or could not be loaded.
    Rejected,
    /// Somebody has called it off.
    Aborted,
    /// It did worse than the old one after the swap, and was taken back.
    Reverted,
    /// The comparison gave no clear answer in its time.
    Inconclusive,
    /// It has passed and waits to be promoted by hand.
    AwaitingPromotion,
    /// It has passed, but lacks something that callers may ask for now.
    OffersLess,
    /// The rollout is held by spec.rollout.paused.
    Paused,
    /// The pods of a comparison find no place to run.
    ShadowUnschedulable,
    /// spec.marking is off.
    MarkingDisabled,
    /// A webhook or an admission policy makes something else of what is written.
    AdmissionChanges,
    /// Every entry of the lexicon is used.
    EntriesApplied,
    /// Entries of the lexicon cannot be used as they are written.
    InvalidEntries,
    /// The lexicon has more entries than are used.
    TooManyEntries,
    /// The lexicon's ConfigMap is not there, or cannot be read.
    ConfigMapUnavailable,
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
