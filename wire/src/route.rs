//! What a gateway is told: the fleet's pools, who may use which, and how
//! patient to be. The operator writes it into a ConfigMap; the gateway watches
//! that ConfigMap and obeys.

use serde::{Deserialize, Serialize};

use crate::{lexicon::Lexicon, names::Aliases};

/// Key of the ConfigMap's data that holds the [`RouteTable`] as JSON.
pub const ROUTE_KEY: &str = "route.json";

/// One fleet's routes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// The fleet's name.
    pub fleet: String,
    /// All pools.
    pub pools: Vec<PoolRoute>,
    /// All tiers; never empty.
    pub tiers: Vec<TierRoute>,
    /// Tier of a request that names none.
    pub default_tier: String,
    /// How a request names its tier.
    pub tier_from: TierFrom,
    /// What is taken from clients, beside what the pods know.
    #[serde(default)]
    pub api: ApiRules,
    /// How words are said, whoever asks, unless the request says otherwise.
    #[serde(default, skip_serializing_if = "Lexicon::is_empty")]
    pub lexicon: Lexicon,
    /// Bounds on the text.
    pub limits: TextLimits,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retries: Retries,
    /// When to leave a pool or a pod alone.
    pub breaker: SlowCallBreaker,
    /// What a caller gets when every attempt has failed.
    pub on_exhausted: OnExhausted,
    /// Pools whose requests are passed on to a judge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorRoute>,
}

/// A sampled share of a pool's requests, which are passed on to a judge. Nothing
/// of it reaches a caller or a figure about callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorRoute {
    /// The pool for whose model a candidate is tried.
    pub pool: String,
    /// The Service whose EndpointSlices list the judge.
    pub judge: String,
    /// Share of the pool's requests, in percent, 1 to 100.
    pub percent: u32,
}

/// A pool and where its pods are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolRoute {
    /// The pool's name.
    pub name: String,
    /// The Service whose EndpointSlices list the pool's pods.
    pub service: String,
}

/// A tier and the pools it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TierRoute {
    /// The tier's name.
    pub name: String,
    /// Names of pools, the preferred one first; never empty.
    pub pools: Vec<String>,
    /// The tier's share of a pod that is asked for more than it can do, as a
    /// ratio to the other tiers' weights, 1 to 100.
    #[serde(default = "equal_weight")]
    pub weight: u32,
    /// What its callers get when every attempt has failed; the fleet's
    /// [`RouteTable::on_exhausted`] if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// What each of its callers may have, who are told apart by their API keys;
    /// all of them together where there are no keys.
    #[serde(default, skip_serializing_if = "Quota::is_unbounded")]
    pub quota: Quota,
}

/// What a caller may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Requests for speech in any minute; as many as it likes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Unicode characters spoken in a day, from midnight to midnight in UTC; as
    /// many as it likes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters_per_day: Option<u64>,
}

impl Quota {
    /// Whether it bounds nothing.
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }

    /// This one, and where it bounds nothing the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            characters_per_day: self.characters_per_day.or(other.characters_per_day),
        }
    }
}

fn equal_weight() -> u32 {
    1
}

/// How a request names its tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum TierFrom {
    /// Not at all: every request is of the default tier.
    Nothing,
    /// By its API key; a request without a known key is refused. The keys are
    /// in a mounted folder, see [`crate::gateway::ENV_API_KEYS`].
    ApiKey,
    /// By a header that something trusted in front has set; a request without
    /// it, or with an unknown tier, is of the default tier.
    Header {
        /// The header's name.
        name: String,
    },
}

/// What is taken from clients, beside what the pods know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiRules {
    /// Names beside those of the models.
    pub aliases: Aliases,
    /// Whether fields that mean nothing here are refused.
    pub strict: bool,
    /// Whether the lists of models and voices need no API key.
    pub public_lists: bool,
    /// Origins whose pages may call, as browsers send them; `*` stands for all.
    pub origins: Vec<String>,
}

/// What a fleet has that says nothing of it.
impl Default for ApiRules {
    fn default() -> Self {
        Self { aliases: Aliases::openai(), strict: false, public_lists: false, origins: Vec::new() }
    }
}

/// Bounds on the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextLimits {
    /// Length from which on a text is long, in Unicode characters.
    pub max_input_chars: u32,
    /// What becomes of a long one.
    pub on_overflow: OnOverflow,
    /// Length beyond which a text is refused in any case, in Unicode characters.
    #[serde(default = "openais_limit")]
    pub hard_limit: u32,
}

/// The longest input that OpenAI's speech API takes.
fn openais_limit() -> u32 {
    4096
}

/// What becomes of a text that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnOverflow {
    /// It is spoken whole, after shorter ones; while the pool is under pressure
    /// it is cut as under `Truncate`.
    Auto,
    /// It is cut at the last sentence end that fits, and the answer says so.
    Truncate,
    /// It is refused.
    Reject,
}

/// How long to wait, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// For the first audio of one attempt.
    pub attempt_ms: u32,
    /// For the first audio of all attempts together.
    pub total_ms: u32,
    /// Between two pieces of audio.
    pub idle_ms: u32,
}

/// How often to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Attempts in all; 1 never retries.
    pub attempts: u32,
    /// Longest pause before the second attempt, in milliseconds; it doubles
    /// with each further one, and the pause taken is random below it.
    pub initial_backoff_ms: u32,
    /// Longest pause of all, in milliseconds.
    pub max_backoff_ms: u32,
    /// Retries allowed, in percent of the requests.
    pub budget_percent: u32,
}

/// When to leave a pool or a pod alone: too many of its calls are slow or fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowCallBreaker {
    /// A call whose first audio takes longer is slow, in milliseconds.
    pub threshold_ms: u32,
    /// Share of slow or failed calls that opens the breaker, in percent.
    pub ratio_percent: u32,
    /// How long it stays open before one call may probe, in milliseconds.
    pub recovery_ms: u32,
}

/// What a caller gets when every attempt has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnExhausted {
    /// A valid file without sound, marked as such.
    EmptyAudio,
    /// An error.
    Error,
}
