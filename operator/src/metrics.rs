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
use ttsfleet_crds::conditions::ConditionType;
use ttsfleet_crds::{RolloutPhase, TtsDeployment};

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    reason: String,
}

/// Phases of a rollout, each of which is always counted.
const PHASES: [RolloutPhase; 6] = [
    RolloutPhase::Staging,
    RolloutPhase::Shadowing,
    RolloutPhase::Paused,
    RolloutPhase::Promoting,
    RolloutPhase::Soaking,
    RolloutPhase::Reverting,
];

/// All metrics of the operator. Clones count together.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<Outcome, Counter>,
    writes: Family<Write, Counter>,
    duration: Histogram,
    leader: Gauge,
    fleets: Family<Readiness, Gauge>,
    degraded: Family<Cause, Gauge>,
    rollouts: Family<Phase, Gauge>,
    rollouts_ended: Family<Ended, Counter>,
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
        let degraded = Family::default();
        let rollouts = Family::default();
        let rollouts_ended = Family::default();
        registry.register("reconciles", "Passes over a fleet, by outcome", reconciles.clone());
        registry.register("writes", "Writes to the API server, by kind and operation", writes.clone());
        registry.register("reconcile_duration_seconds", "How long passes take", duration.clone());
        registry.register("leader", "1 while this replica does the work", leader.clone());
        registry.register("fleets", "Fleets, by whether they are ready", fleets.clone());
        registry.register("degraded", "Fleets that something is wrong with, by its reason", degraded.clone());
        registry.register("rollouts", "Rollouts under way, by phase", rollouts.clone());
        registry.register("rollouts_ended", "Rollouts that have ended, by outcome", rollouts_ended.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            writes,
            duration,
            leader,
            fleets,
            degraded,
            rollouts,
            rollouts_ended,
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

    /// Counts a rollout's end.
    pub(crate) fn rollout_ended(&self, outcome: String) {
        self.rollouts_ended.get_or_create(&Ended { outcome }).inc();
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
        self.degraded.clear();
        for reason in fleets.iter().filter_map(|fleet| degraded(fleet)) {
            self.degraded.get_or_create(&Cause { reason }).inc();
        }
        for phase in PHASES {
            let count = fleets.iter().flat_map(|fleet| phases(fleet)).filter(|other| *other == phase).count();
            let label = Phase { phase: phase.to_string() };
            self.rollouts.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn phases(fleet: &TtsDeployment) -> impl Iterator<Item = RolloutPhase> {
    let pools = fleet.status.iter().flat_map(|status| &status.pools);
    pools.filter_map(|pool| pool.rollout.as_ref()).map(|rollout| rollout.phase)
}

fn is_ready(fleet: &TtsDeployment) -> bool {
    let conditions = fleet.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|c| c.type_ == ConditionType::Ready.to_string() && c.status == "True")
}

fn degraded(fleet: &TtsDeployment) -> Option<String> {
    let mut conditions = fleet.status.iter().flat_map(|status| &status.conditions);
    let is_degraded =
        |type_: &str, status: &str| type_ == ConditionType::Degraded.to_string() && status == "True";
    conditions.find(|c| is_degraded(&c.type_, &c.status)).map(|condition| condition.reason.clone())
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_with_fleets_is_counted_by_its_reason() {
        let (store, mut writer) = reflector::store();
        let metrics = Metrics::default();
        metrics.watch(store);
        let mut tell = |name: &str, status: &str| {
            let fleet = json!({
                "metadata": {"name": name, "namespace": "studio"}, "spec": {},
                "status": {"conditions": [{
                    "type": "Degraded", "status": status, "reason": "StrayPod", "message": "",
                    "lastTransitionTime": "2026-03-01T12:00:00Z",
                }]},
            });
            writer.apply_watcher_event(&Event::Apply(serde_json::from_value(fleet).expect("a fleet")));
        };
        tell("a", "True");
        tell("b", "True");
        let line = "ttsfleet_operator_degraded{reason=\"StrayPod\"} ";
        assert!(metrics.text().expect("text").contains(&format!("{line}2")));
        tell("a", "False");
        assert!(metrics.text().expect("text").contains(&format!("{line}1")));
    }
}
