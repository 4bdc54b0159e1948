//! Metrics in Prometheus form.

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
use std::sync::{Mutex, PoisonError, atomic::AtomicU64};
use ttsfleet_models::Manifest;
use ttsfleet_serving::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    name: String,
    version: String,
    family: String,
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    outcome: &'static str,
}

/// How the model served was to change, and did or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swap {
    /// The first model since the start.
    First,
    Swapped,
    Reverted,
    /// A newer order took the place of this one.
    Replaced,
    Failed,
}

impl Swap {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Swapped => "swapped",
            Self::Reverted => "reverted",
            Self::Replaced => "replaced",
            Self::Failed => "failed",
        }
    }
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
    pub(crate) stuck_workers: Gauge,
    pub(crate) audio: Counter<f64, AtomicU64>,
    pub(crate) real_time_factor: Histogram,
    pub(crate) load_time: Gauge<f64, AtomicU64>,
    pub(crate) failed_loads: Counter,
    model: Family<Model, Gauge>,
    swaps: Family<How, Counter>,
    staged_bytes: Gauge,
    stage_bytes: Gauge,
    unreturned: Gauge,
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
            stuck_workers: Gauge::default(),
            audio: Counter::default(),
            real_time_factor: Histogram::new(exponential_buckets(0.005, 2.0, 10)),
            load_time: Gauge::default(),
            failed_loads: Counter::default(),
            model: Family::default(),
            swaps: Family::default(),
            staged_bytes: Gauge::default(),
            stage_bytes: Gauge::default(),
            unreturned: Gauge::default(),
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
        registry.register(
            "stuck_workers",
            "Synthesis threads that have been at one piece of audio for too long",
            self.stuck_workers.clone(),
        );
        registry.register_with_unit("audio", "Audio made", Unit::Seconds, self.audio.clone());
        registry.register(
            "real_time_factor",
            "Seconds of work for a second of audio",
            self.real_time_factor.clone(),
        );
        self.register_models(registry);
    }

    fn register_models(&self, registry: &mut Registry) {
        registry.register("model_info", "The model served", self.model.clone());
        let (name, help) = ("model_load", "Loading the model served, and its check sentences");
        registry.register_with_unit(name, help, Unit::Seconds, self.load_time.clone());
        registry.register("swaps", "Orders to serve another model, by what came of them", self.swaps.clone());
        let help = "Models that could not be loaded, or spoke badly";
        registry.register("failed_loads", help, self.failed_loads.clone());
        for (name, help, gauge) in [
            ("staged", "Of the model on its way here, what has come", &self.staged_bytes),
            ("stage_size", "Of the model on its way here, all of it", &self.stage_bytes),
            ("unreturned_memory", "What did not come back when a model was freed", &self.unreturned),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
    }

    /// Publishes which model is served.
    pub(crate) fn set_model(&self, manifest: &Manifest, digest: &str) {
        let Manifest { name, version, family, .. } = manifest.clone();
        self.model.clear();
        self.model.get_or_create(&Model { name, version, family, digest: digest.to_owned() }).set(1);
    }

    /// Counts what came of an order to serve another model.
    pub(crate) fn swapped(&self, how: Swap) {
        self.swaps.get_or_create(&How { outcome: how.name() }).inc();
    }

    /// Publishes how far the model on its way here is, in bytes: done, and of.
    pub(crate) fn set_staging(&self, (done, total): (u64, u64)) {
        self.staged_bytes.set(done.cast_signed());
        self.stage_bytes.set(total.cast_signed());
    }

    /// Publishes what did not come back of a model's memory, in bytes.
    pub(crate) fn set_unreturned(&self, bytes: u64) {
        self.unreturned.set(bytes.cast_signed());
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
