//! Metrics in Prometheus form.

use std::sync::{Mutex, PoisonError, atomic::AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use ttsfleet_serving::{Labels, Observer, Outcome};

/// Lengths of text that requests are told apart by, in characters.
const LENGTHS: [(usize, &str); 4] = [(50, "50"), (200, "200"), (600, "600"), (usize::MAX, "longer")];

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `OK`, a code of the error catalogue, or `ClientClosed`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The pool that answered, if one did.
    pub pool: String,
    /// The caller's tier, if known.
    pub tier: String,
    /// Why the answer is not all it should be, if so.
    pub degraded: &'static str,
    /// Upper bound of the text's length in characters.
    pub length: &'static str,
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KeyLabels {
    /// The key's tier.
    pub tier: String,
    /// The key's name.
    pub key: String,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PoolLabels {
    /// Its name.
    pub pool: String,
}

/// What became of a request that was to be put to a candidate too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MirrorLabels {
    /// The pool for whose model a candidate is tried.
    pub pool: String,
    /// What became of the request.
    pub outcome: &'static str,
}

/// What became of answers that broke off.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResumedLabels {
    /// `resumed` or `broken`.
    pub outcome: &'static str,
}

/// One of the gateway's watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WatchLabels {
    /// What it is of.
    pub watch: &'static str,
}

/// All that the gateway counts.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    first_audio: Family<PoolLabels, Histogram>,
    duration: Family<PoolLabels, Histogram>,
    key_requests: Family<KeyLabels, Counter>,
    key_characters: Family<KeyLabels, Counter>,
    key_audio: Family<KeyLabels, Counter<f64, AtomicU64>>,
    /// Lines of the Secret with API keys that are left out.
    pub bad_key_lines: Gauge,
    /// Texts cut.
    pub truncated: Counter,
    /// Answers that broke off and were to be gone on with.
    pub resumed: Family<ResumedLabels, Counter>,
    /// Calls to pods that counted as attempts.
    pub attempts: Counter,
    /// By pool: 0 closed, 1 half open, 2 open.
    pub breaker: Family<PoolLabels, Gauge>,
    /// By pool: pods that can take calls.
    pub endpoints: Family<PoolLabels, Gauge>,
    /// By watch: 1 while the API server refuses it.
    pub watch_refused: Family<WatchLabels, Gauge>,
    /// Requests chosen to be passed on to a judge.
    pub mirrored: Family<MirrorLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let latency = || {
            Family::new_with_constructor(
                (|| Histogram::new(exponential_buckets(0.005, 2.0, 14))) as fn() -> Histogram,
            )
        };
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            first_audio: latency(),
            duration: latency(),
            key_requests: Family::default(),
            key_characters: Family::default(),
            key_audio: Family::default(),
            bad_key_lines: Gauge::default(),
            truncated: Counter::default(),
            resumed: Family::default(),
            attempts: Counter::default(),
            breaker: Family::default(),
            endpoints: Family::default(),
            watch_refused: Family::default(),
            mirrored: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registry.sub_registry_with_prefix("ttsfleet_gateway");
        registry.register("requests", "Requests by outcome", self.requests.clone());
        let help = "From the request to its first audio";
        registry.register_with_unit("first_audio", help, Unit::Seconds, self.first_audio.clone());
        let help = "From the request to the end of its answer";
        registry.register_with_unit("request_duration", help, Unit::Seconds, self.duration.clone());
        let help = "Requests by the name of their key";
        registry.register("key_requests", help, self.key_requests.clone());
        let help = "Characters spoken, by the name of the key";
        registry.register("key_characters", help, self.key_characters.clone());
        let help = "Audio of answers sent whole, by the name of the key";
        registry.register_with_unit("key_audio", help, Unit::Seconds, self.key_audio.clone());
        let help = "Lines of the Secret with API keys that are left out, as they cannot be understood";
        registry.register("bad_key_lines", help, self.bad_key_lines.clone());
        registry.register("truncated", "Texts cut because they were too long", self.truncated.clone());
        let help = "Answers that broke off, by whether another pod could go on";
        registry.register("resumed", help, self.resumed.clone());
        registry.register("attempts", "Calls to pods, retries among them", self.attempts.clone());
        let help = "Breaker of a pool: 0 closed, 1 half open, 2 open";
        registry.register("breaker_state", help, self.breaker.clone());
        registry.register("endpoints", "Pods that can take calls", self.endpoints.clone());
        let help = "Whether the API server refuses a watch: 0 no, 1 yes";
        registry.register("watch_refused", help, self.watch_refused.clone());
        let help = "Requests chosen to be passed on to a judge, by what became of that";
        registry.register("mirrored", help, self.mirrored.clone());
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Metrics {
    /// Counts what the holder of a key with a name has had.
    fn count_for_key(&self, outcome: &Outcome) {
        let Labels { tier, key: Some(key), .. } = &outcome.labels else { return };
        let labels = KeyLabels { tier: tier.clone().unwrap_or_default(), key: key.clone() };
        self.key_requests.get_or_create(&labels).inc();
        let spoken = outcome.spoken_chars.unwrap_or_default();
        self.key_characters.get_or_create(&labels).inc_by(spoken as u64);
        let audio = outcome.audio.unwrap_or_default();
        self.key_audio.get_or_create(&labels).inc_by(audio.as_secs_f64());
    }
}

impl Observer for Metrics {
    fn finished(&self, outcome: &Outcome) {
        let pool = outcome.labels.pool.clone().unwrap_or_default();
        let length = outcome.input_chars.and_then(|chars| LENGTHS.iter().find(|(most, _)| chars <= *most));
        let labels = RequestLabels {
            code: outcome.code,
            status: outcome.status,
            pool: pool.clone(),
            tier: outcome.labels.tier.clone().unwrap_or_default(),
            degraded: outcome.labels.degraded.unwrap_or_default(),
            length: length.map_or("", |(_, name)| *name),
        };
        self.requests.get_or_create(&labels).inc();
        self.count_for_key(outcome);
        if let Some(first) = outcome.first_audio {
            let labels = PoolLabels { pool };
            self.first_audio.get_or_create(&labels).observe(first.as_secs_f64());
            self.duration.get_or_create(&labels).observe(outcome.spent.as_secs_f64());
        }
    }
}
