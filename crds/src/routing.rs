//! Who may use which pools, how much text they may send, and how it is logged.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{OnExhausted, rules};

/// Name of the tier of a fleet that describes none.
pub const STANDARD_TIER: &str = "standard";

/// Who may use which pools.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.defaultTier) || (has(self.tiers) && self.tiers.size() > 0 ? \
     self.tiers.exists(tier, tier.name == self.defaultTier) : self.defaultTier == 'standard')"
).message(
    "routing.defaultTier must be the name of one of routing.tiers; without tiers there is one, named standard"
))]
pub struct Routing {
    /// Classes of callers. Without any there is one, named standard, which
    /// may use all pools in the order of spec.pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tiers: Vec<Tier>,

    /// Tier of a request that names none; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    pub default_tier: Option<String>,

    /// How a request names its tier. Empty: every request is of the default
    /// tier.
    #[serde(default)]
    pub tier_from: TierFrom,
}

/// A class of callers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// The tier's name.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message(
        "a tier's name must be at most 20 characters of a-z, 0-9 and '-', and begin and end with a letter or digit; \
         for example: premium"
    ))]
    pub name: String,

    /// Names of the pools it may use, the preferred one first: the next one
    /// speaks when those before it cannot.
    #[schemars(length(min = 1, max = 8), inner(length(max = 20)))]
    #[x_kube(validation = Rule::new("self.all(pool, self.exists_one(other, other == pool))").message(
        "a tier's pools must name each pool once; remove the second mention"
    ))]
    pub pools: Vec<String>,

    /// The tier's share of pods that are asked for more than they can do,
    /// beside the other tiers' weights.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// What its callers get when every attempt has failed; as
    /// resilience.onExhausted says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,

    /// What each of its API keys may have; what all of the tier's callers
    /// together may have where there are no keys. A key's line in the Secret can
    /// say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// What a caller may have. What goes beyond is answered with 429.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Requests for speech in any minute. Without it, as many as there is room
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<i32>,

    /// Unicode characters spoken in a day, from midnight to midnight in UTC.
    /// Without it, as many as there is room for. What fails is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub characters_per_day: Option<i64>,
}

/// How a request names its tier.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.apiKeySecretRef) && has(self.header))").message(
    "routing.tierFrom takes apiKeySecretRef or header, not both: remove the one that shall not decide"
))]
pub struct TierFrom {
    /// By its API key (`Authorization: Bearer …`). Each key of the Secret's
    /// data is a tier's name, its value that tier's API keys, one a line: the
    /// key itself or `sha256:` and its digest in hexadecimal, then, if wanted,
    /// `name=acme`, `until=2027-01-31`, `requests-per-minute=60` and
    /// `characters-per-day=100000`. A request without a known key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_secret_ref: Option<SecretRef>,

    /// By this header, in lower case. Whatever stands in front of the fleet
    /// must set it and remove what callers send under that name. A request
    /// without it, or with an unknown tier, is of the default tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9!#$%&*+.^_|~-]+$')").message(
        "routing.tierFrom.header must be the name of an HTTP header in lower case; for example: x-tier"
    ))]
    pub header: Option<String>,
}

/// A Secret of the fleet's namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("the Secret's name"))]
    pub name: String,
}

/// Bounds on the text of a request.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maxInputChars <= self.hardLimit").message(
    "limits.maxInputChars must not be above limits.hardLimit, or no text could ever be that long; raise hardLimit or \
     lower maxInputChars"
))]
pub struct Limits {
    /// Length from which on a text is long, in Unicode characters.
    #[serde(default = "default_max_input_chars")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_input_chars: i32,

    /// What becomes of a long one. Auto: it is spoken whole, but waits for
    /// shorter ones and never takes all threads of a pod; while the pool is
    /// under pressure it is cut as under Truncate. Truncate: it is cut at the
    /// last end of a sentence that fits, and the answer says so. Reject: it is
    /// refused.
    #[serde(default)]
    #[schemars(with = "String", length(max = 20))]
    #[x_kube(validation = Rule::new("self in ['Auto', 'Truncate', 'Reject']").message(
        "limits.onOverflow must be Auto, Truncate or Reject; Enqueue comes with asynchronous jobs, which this version \
         does not have"
    ))]
    pub on_overflow: OnOverflow,

    /// Length beyond which a text is refused in any case, in Unicode
    /// characters. The default is OpenAI's.
    #[serde(default = "default_hard_limit")]
    #[schemars(range(min = 1, max = 4096))]
    pub hard_limit: i32,

    /// What becomes of a text with letters that a voice cannot speak. Skip: they
    /// are left out, and the answer says how many. Refuse: it is answered 400.
    #[serde(default)]
    pub on_unspeakable: OnUnspeakable,
}

/// What becomes of a text with letters that a voice cannot speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum OnUnspeakable {
    /// They are left out.
    #[default]
    Skip,
    /// It is refused.
    Refuse,
}

/// What becomes of a long text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnOverflow {
    /// It is spoken whole unless the pool is under pressure.
    #[default]
    Auto,
    /// It is cut at the last end of a sentence that fits.
    Truncate,
    /// It is refused.
    Reject,
}

/// What the fleet tells about its work.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observability {
    /// Form of the log lines. Template: fields between bars, for people. Json:
    /// the same fields as an object.
    #[serde(default)]
    pub log_format: LogFormat,

    /// Where gateways and pods export traces to; nowhere if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
}

/// Export of traces by OpenTelemetry.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traces {
    /// Address of a collector that takes OTLP over plain HTTP, as in
    /// http://collector.observability:4318.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^http://[a-zA-Z0-9.-]+(:[0-9]{1,5})?/?$')").message(
        "observability.traces.endpoint must be http:// with the host and port of a collector that takes OTLP over \
         HTTP, as in http://collector.observability:4318"
    ))]
    pub endpoint: String,

    /// Share of the requests to trace where the caller does not say, in percent.
    #[serde(default = "default_trace_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
}

fn default_trace_percent() -> i32 {
    100
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum LogFormat {
    /// Fields between bars.
    #[default]
    Template,
    /// One JSON object a line.
    Json,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input_chars: default_max_input_chars(),
            on_overflow: OnOverflow::default(),
            hard_limit: default_hard_limit(),
            on_unspeakable: OnUnspeakable::default(),
        }
    }
}

fn default_max_input_chars() -> i32 {
    600
}

fn default_hard_limit() -> i32 {
    4096
}

fn default_weight() -> i32 {
    1
}
