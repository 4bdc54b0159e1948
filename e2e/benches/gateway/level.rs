//! What runs under the same conditions came to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::callers::{Failed, Latency};

/// All of them together.
#[derive(Default)]
pub(crate) struct Level {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) failed: usize,
    /// The same by how they failed.
    failures: BTreeMap<Failed, usize>,
    cpu: Duration,
}

impl Level {
    /// Takes a run.
    pub(crate) fn add(&mut self, latencies: Vec<Latency>, cpu: Duration) {
        self.cpu += cpu;
        for latency in latencies {
            match latency {
                Ok(latency) => self.latencies.push(latency),
                Err(failed) => {
                    self.failed += 1;
                    *self.failures.entry(failed).or_default() += 1;
                }
            }
        }
    }

    /// How long that many percent of the answers took at most.
    pub(crate) fn microseconds(&self, percent: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
        sorted.get(place.saturating_sub(1)).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }

    /// How many failed in which way, in words; none if none failed.
    pub(crate) fn failures(&self) -> Option<String> {
        let parts: Vec<_> =
            self.failures.iter().map(|(failed, number)| format!("{number} {failed}")).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.latencies.len(), "failed": self.failed, "failures": self.failures(),
            "p50Us": self.microseconds(50.0), "p99Us": self.microseconds(99.0), "cpuUs": self.cpu(),
        })
    }

    /// Microseconds of processor time for each request.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }
}
