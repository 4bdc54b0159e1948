//! Metrics in Prometheus form.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use ttsfleet_serving::{Observer, Outcome};

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was judged.
    Judged,
    /// There was no room for it.
    Dropped,
    /// What listens broke on it, or it lasts longer than is listened to.
    Unheard,
    /// The request was none that both sides can be asked.
    Refused,
    /// A side had no pod that took it.
    Away,
    /// Neither side found words in its text.
    Wordless,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PairLabels {
    source: &'static str,
    fate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: &'static str,
    status: u16,
}

/// All that the judge counts.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    pairs: Family<PairLabels, Counter>,
    listening: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            pairs: Family::default(),
            listening: Histogram::new(exponential_buckets(0.05, 2.0, 12)),
        };
        let mut registry = metrics.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let judge = registry.sub_registry_with_prefix("ttsfleet_judge");
        judge.register("requests", "Requests by outcome", metrics.requests.clone());
        judge.register("pairs", "Texts for both sides by what became of them", metrics.pairs.clone());
        let help = "Time that one pair took to listen to";
        judge.register_with_unit("listening", help, Unit::Seconds, metrics.listening.clone());
        drop(registry);
        metrics
    }

    /// Counts a text.
    pub fn pair(&self, from_prompt: bool, fate: Fate) {
        let source = if from_prompt { "prompt" } else { "caller" };
        let fate = match fate {
            Fate::Judged => "judged",
            Fate::Dropped => "dropped",
            Fate::Unheard => "unheard",
            Fate::Refused => "refused",
            Fate::Away => "away",
            Fate::Wordless => "wordless",
        };
        self.pairs.get_or_create(&PairLabels { source, fate }).inc();
    }

    /// Notes how long a pair took.
    pub fn listened(&self, time: Duration) {
        self.listening.observe(time.as_secs_f64());
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

/// Counts requests of the judge's own port.
pub(crate) struct Requests(pub(crate) std::sync::Arc<crate::judge::Judge>);

impl Observer for Requests {
    fn finished(&self, outcome: &Outcome) {
        let labels = RequestLabels { code: outcome.code, status: outcome.status };
        self.0.metrics.requests.get_or_create(&labels).inc();
    }
}
