//! What the operator counts.

use std::sync::{Arc, OnceLock};

use kube::runtime::reflector::Store;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use ttsfleet_crds::TtsDeployment;
use ttsfleet_crds::conditions::ConditionType;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: String,
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Readiness {
    ready: &'static str,
}

/// All metrics of the operator. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<Outcome, Counter>,
    writes: Family<Write, Counter>,
    duration: Histogram,
    leader: Gauge,
    fleets: Family<Readiness, Gauge>,
    cache: Arc<OnceLock<Store<TtsDeployment>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ttsfleet_operator");
        let reconciles = Family::default();
        let writes = Family::default();
        let duration = Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let leader = Gauge::default();
        let fleets = Family::default();
        registry.register("reconciles", "Passes over a fleet, by outcome", reconciles.clone());
        registry.register("writes", "Writes to the API server, by kind and operation", writes.clone());
        registry.register("reconcile_duration_seconds", "How long passes take", duration.clone());
        registry.register("leader", "1 while this replica does the work", leader.clone());
        registry.register("fleets", "Fleets, by whether they are ready", fleets.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            writes,
            duration,
            leader,
            fleets,
            cache: Arc::default(),
        }
    }
}

impl Metrics {
    /// Counts a write.
    pub fn wrote(&self, kind: &str, operation: &'static str) {
        self.writes.get_or_create(&Write { kind: kind.to_owned(), operation }).inc();
    }

    /// Counts a finished pass.
    pub(crate) fn reconciled(&self, succeeded: bool, seconds: f64) {
        let outcome = if succeeded { "success" } else { "error" };
        self.reconciles.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(seconds);
    }

    /// Whether this replica does the work.
    pub(crate) fn leading(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// Where the fleets to count are.
    pub(crate) fn watch(&self, fleets: Store<TtsDeployment>) {
        // Set once: a process leads at most once.
        let _ = self.cache.set(fleets);
    }

    /// In the text format of Prometheus.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let fleets = self.cache.get().map(Store::state).unwrap_or_default();
        let ready = fleets.iter().filter(|fleet| is_ready(fleet)).count();
        for (label, count) in [("true", ready), ("false", fleets.len() - ready)] {
            self.fleets
                .get_or_create(&Readiness { ready: label })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn is_ready(fleet: &TtsDeployment) -> bool {
    let conditions = fleet.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == ConditionType::Ready.to_string() && c.status == "True")
}
