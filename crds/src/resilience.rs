//! How patient the fleet is, how often it tries, and when it leaves a part of
//! itself alone.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// How the fleet copes with pods that are slow, busy or gone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
// A number cannot be multiplied with a duration in CEL.
#[x_kube(validation = Rule::new(
    "[duration(self.timeouts.attempt)].all(one, [duration(self.timeouts.total)].all(total, \
     (self.retries.attempts < 2 || one + one <= total) && (self.retries.attempts < 3 || one + one + one <= total) && \
     (self.retries.attempts < 4 || one + one + one + one <= total) && \
     (self.retries.attempts < 5 || one + one + one + one + one <= total)))"
).message(
    "retries.attempts times timeouts.attempt must fit into timeouts.total, or the last attempt could never end; raise \
     total, or lower attempts or attempt"
))]
#[x_kube(validation = Rule::new(
    "duration(self.breaker.slowCall.threshold) < duration(self.timeouts.attempt)"
).message(
    "breaker.slowCall.threshold must be below timeouts.attempt, or no answered call could count as slow; lower it"
))]
pub struct Resilience {
    /// How long to wait.
    #[serde(default)]
    pub timeouts: Timeouts,

    /// How often to try.
    #[serde(default)]
    pub retries: Retries,

    /// When to leave a pool or a pod alone.
    #[serde(default)]
    pub breaker: Breaker,

    /// What a caller gets when every attempt has failed. Error: an error that
    /// says when to try again, so that clients do, or ask elsewhere.
    /// EmptyAudio: a valid file without sound, marked as degraded; most clients
    /// take it for speech. A tier may say otherwise, and so may a request, in
    /// its header `x-tts-on-exhausted: error` or `empty-audio`.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
}

/// How long to wait: from outside in, ever shorter.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "duration(self.ingress) > duration(self.client) && duration(self.client) > duration(self.total) && \
     duration(self.total) > duration(self.attempt)"
).message(
    "timeouts must get shorter from outside in: ingress > client > total > attempt; otherwise the outer one gives up \
     on an answer that is still to come"
))]
pub struct Timeouts {
    /// For the first audio of one attempt, 100ms to 1m.
    #[serde(default = "default_attempt")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("timeouts.attempt", "100ms", "1m", "3s or 1500ms"))]
    pub attempt: String,

    /// For the first audio of all attempts together, 100ms to 5m.
    #[serde(default = "default_total")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("timeouts.total", "100ms", "5m", "9s"))]
    pub total: String,

    /// Between two pieces of audio, 100ms to 1m.
    #[serde(default = "default_idle")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("timeouts.idle", "100ms", "1m", "3s or 1500ms"))]
    pub idle: String,

    /// How long whatever calls the gateway waits for it, 1s to 10m. Set in
    /// what spec.expose makes: in an HTTPRoute for the whole answer of one
    /// gateway pod, in an Ingress for handing a request to another one.
    #[serde(default = "default_client")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("timeouts.client", "1s", "10m", "15s"))]
    pub client: String,

    /// How long the cluster's entry point waits, 1s to 1h. Set in what
    /// spec.expose makes: in an HTTPRoute for the whole answer, in an Ingress
    /// for the next piece of it.
    #[serde(default = "default_ingress")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("timeouts.ingress", "1s", "1h", "35s"))]
    pub ingress: String,
}

/// How often to try.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.initialBackoff) <= duration(self.maxBackoff)").message(
    "retries.initialBackoff must not be above retries.maxBackoff; lower it, or raise maxBackoff"
))]
pub struct Retries {
    /// Attempts in all; 1 never retries. Only what has not begun to speak is
    /// tried again.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 5))]
    pub attempts: i32,

    /// Longest pause before the second attempt, 10ms to 10s; it doubles with
    /// each further one. The pause taken is random below it.
    #[serde(default = "default_initial_backoff")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("retries.initialBackoff", "10ms", "10s", "500ms"))]
    pub initial_backoff: String,

    /// Longest pause of all, 10ms to 30s.
    #[serde(default = "default_max_backoff")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("retries.maxBackoff", "10ms", "30s", "2s"))]
    pub max_backoff: String,

    /// Retries allowed, in percent of the requests, so that retries do not
    /// add to an overload. 0 allows none.
    #[serde(default = "default_budget_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: i32,
}

/// When to leave a pool or a pod alone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// Too many requests wait in a pod.
    #[serde(default)]
    pub queue: QueueBreaker,

    /// Too many calls are slow or fail.
    #[serde(default)]
    pub slow_call: SlowCallBreaker,
}

/// What a pod does when more than capacity.maxQueueDepth requests wait in it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueBreaker {
    /// For how long at most it refuses new ones, 1s to 10m; it takes them again
    /// as soon as the queue is down to half.
    #[serde(default = "default_open_for")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::seconds("breaker.queue.openFor", "1s", "10m", "10s"))]
    pub open_for: String,
}

/// When the gateway leaves a pool or a pod alone.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowCallBreaker {
    /// A call whose first audio takes longer is slow, 10ms to 1m.
    #[serde(default = "default_threshold")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("breaker.slowCall.threshold", "10ms", "1m", "1500ms"))]
    pub threshold: String,

    /// Share of slow or failed calls that opens the breaker, in percent.
    #[serde(default = "default_ratio_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub ratio_percent: i32,

    /// How long it stays open before one call may probe, 100ms to 10m. A pod
    /// that relapses is left alone for twice as long each time, up to a minute.
    #[serde(default = "default_recovery")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::duration("breaker.slowCall.recovery", "100ms", "10m", "5s"))]
    pub recovery: String,
}

/// What a caller gets when every attempt has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum OnExhausted {
    /// An error.
    #[default]
    Error,
    /// A valid file without sound, marked as degraded.
    EmptyAudio,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            attempt: default_attempt(),
            total: default_total(),
            idle: default_idle(),
            client: default_client(),
            ingress: default_ingress(),
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: default_attempts(),
            initial_backoff: default_initial_backoff(),
            max_backoff: default_max_backoff(),
            budget_percent: default_budget_percent(),
        }
    }
}

impl Default for QueueBreaker {
    fn default() -> Self {
        Self { open_for: default_open_for() }
    }
}

impl Default for SlowCallBreaker {
    fn default() -> Self {
        Self {
            threshold: default_threshold(),
            ratio_percent: default_ratio_percent(),
            recovery: default_recovery(),
        }
    }
}

fn default_attempt() -> String {
    "3s".to_owned()
}

fn default_total() -> String {
    "9s".to_owned()
}

fn default_idle() -> String {
    "3s".to_owned()
}

fn default_client() -> String {
    "15s".to_owned()
}

fn default_ingress() -> String {
    "35s".to_owned()
}

fn default_attempts() -> i32 {
    3
}

fn default_initial_backoff() -> String {
    "500ms".to_owned()
}

fn default_max_backoff() -> String {
    "2s".to_owned()
}

fn default_budget_percent() -> i32 {
    20
}

fn default_open_for() -> String {
    "10s".to_owned()
}

fn default_threshold() -> String {
    "1500ms".to_owned()
}

fn default_ratio_percent() -> i32 {
    50
}

fn default_recovery() -> String {
    "5s".to_owned()
}
