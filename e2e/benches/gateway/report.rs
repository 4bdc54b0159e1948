//! The proxies side by side, as ratios.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::LEVELS;
use crate::callers::Latency;
use crate::level::Level;

/// One proxy's figures.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    /// Most requests a second.
    pub(crate) knee: f64,
    memory_before: u64,
    pub(crate) memory_after: u64,
    levels: [Level; LEVELS.len()],
}

impl Figures {
    pub(crate) fn new(name: &'static str, memory_before: u64) -> Self {
        Self { name, knee: 0.0, memory_before, memory_after: 0, levels: Default::default() }
    }

    /// Takes a run at that level.
    pub(crate) fn add(&mut self, level: usize, latencies: Vec<Latency>, cpu: Duration) {
        self.levels[level].add(latencies, cpu);
    }
}

/// A line for each proxy at each level; what it adds to a request without one.
pub(crate) fn table(direct: &Figures, proxies: &[Figures]) -> String {
    let mut table = String::new();
    for (number, level) in LEVELS.iter().enumerate() {
        let base = &direct.levels[number];
        let _ = writeln!(table, "at {:.0} % of the slowest knee", level * 100.0);
        let _ = writeln!(
            table,
            "  {:<10}{:>12}{:>12}{:>16}{:>8}",
            "", "+p50, us", "+p99, us", "CPU, us/request", "failed"
        );
        for proxy in proxies {
            let own = &proxy.levels[number];
            let added = |percent| own.microseconds(percent) - base.microseconds(percent);
            let (p50, p99, cpu) = (added(50.0), added(99.0), own.cpu());
            let _ = writeln!(table, "  {:<10}{p50:>12.0}{p99:>12.0}{cpu:>16.0}{:>8}", proxy.name, own.failed);
        }
        for figures in std::iter::once(direct).chain(proxies) {
            if let Some(failures) = figures.levels[number].failures() {
                let _ = writeln!(table, "  {} failed: {failures}", figures.name);
            }
        }
    }
    let _ = writeln!(table, "\n  {:<10}{:>12}{:>14}{:>14}", "", "knee, 1/s", "at rest, MiB", "after, MiB");
    for proxy in proxies {
        let mebibytes = |kib: u64| kib as f64 / 1024.0;
        let (before, after) = (mebibytes(proxy.memory_before), mebibytes(proxy.memory_after));
        let _ = writeln!(table, "  {:<10}{:>12.0}{before:>14.1}{after:>14.1}", proxy.name, proxy.knee);
    }
    table
}

/// The same as JSON.
pub(crate) fn json(direct: &Figures, proxies: &[Figures]) -> Value {
    let one = |figures: &Figures| {
        let levels = figures.levels.iter().zip(LEVELS).map(|(level, share)| {
            let mut json = level.json();
            json["shareOfKnee"] = share.into();
            json
        });
        json!({
            "name": figures.name, "knee": figures.knee, "levels": levels.collect::<Vec<_>>(),
            "memoryKib": [figures.memory_before, figures.memory_after],
        })
    };
    json!({"direct": one(direct), "proxies": proxies.iter().map(one).collect::<Vec<_>>()})
}
