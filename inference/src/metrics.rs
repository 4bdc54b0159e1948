//! Metrics in Prometheus form.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::sync::{Mutex, PoisonError, atomic::AtomicU64};
use ttsfleet_models::Manifest;
use ttsfleet_serving::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

/// All that the server counts.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Code, Counter>,
    first_audio: Histogram,
    duration: Histogram,
    pub(crate) queue_time: Histogram,
    pub(crate) queue_depth: Gauge,
    pub(crate) breaker_open: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) audio: Counter<f64, AtomicU64>,
    pub(crate) real_time_factor: Histogram,
    pub(crate) load_time: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let latency = || Histogram::new(exponential_buckets(0.005, 2.0, 14));
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            first_audio: latency(),
            duration: latency(),
            queue_time: latency(),
            queue_depth: Gauge::default(),
            breaker_open: Gauge::default(),
            in_flight: Gauge::default(),
            audio: Counter::default(),
            real_time_factor: Histogram::new(exponential_buckets(0.005, 2.0, 10)),
            load_time: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry();
        let registry = registry.sub_registry_with_prefix("ttsfleet");
        registry.register("requests", "Requests by outcome", self.requests.clone());
        let mut seconds = |name, help, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        seconds("first_audio", "From the request to its first audio", &self.first_audio);
        seconds("request_duration", "From the request to the end of its answer", &self.duration);
        seconds("queue", "Waiting for a synthesis thread", &self.queue_time);
        registry.register("queue_depth", "Requests waiting for a synthesis thread", self.queue_depth.clone());
        registry.register(
            "queue_breaker_open",
            "Whether requests are refused because too many wait",
            self.breaker_open.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests admitted and not yet answered",
            self.in_flight.clone(),
        );
        registry.register_with_unit("audio", "Audio made", Unit::Seconds, self.audio.clone());
        registry.register(
            "real_time_factor",
            "Seconds of work for a second of audio",
            self.real_time_factor.clone(),
        );
        let (name, help) = ("model_load", "Time from the start until the model could speak");
        registry.register_with_unit(name, help, Unit::Seconds, self.load_time.clone());
    }

    /// Publishes which model is served; called once.
    pub(crate) fn set_model(&self, manifest: &Manifest, digest: &str) {
        let labels = vec![
            ("name", manifest.name.clone()),
            ("version", manifest.version.clone()),
            ("family", manifest.family.clone()),
            ("digest", digest.to_owned()),
        ];
        self.registry().register("ttsfleet_model", "The model served", Info::new(labels));
    }

    /// Counts a request that is over.
    pub(crate) fn finished(&self, outcome: &Outcome) {
        self.requests.get_or_create(&Code { code: outcome.code }).inc();
        if let Some(first_audio) = outcome.first_audio {
            self.first_audio.observe(first_audio.as_secs_f64());
        }
        if outcome.input_chars.is_some() {
            self.duration.observe(outcome.spent.as_secs_f64());
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
