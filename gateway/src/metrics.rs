//! Metrics in Prometheus form.

use std::sync::{Mutex, PoisonError};

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
use ttsfleet_serving::{Observer, Outcome};

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
    /// Texts cut.
    pub truncated: Counter,
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
            truncated: Counter::default(),
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
        registry.register("truncated", "Texts cut because they were too long", self.truncated.clone());
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
        if let Some(first) = outcome.first_audio {
            let labels = PoolLabels { pool };
            self.first_audio.get_or_create(&labels).observe(first.as_secs_f64());
            self.duration.get_or_create(&labels).observe(outcome.spent.as_secs_f64());
        }
    }
}
