//! Callers' times with each judge, as ratios to those without one.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::RATES;
use crate::level::Level;

/// One gateway's figures.
pub(crate) struct Figures {
    name: &'static str,
    pub(crate) levels: [Level; RATES.len()],
    /// Resident memory in the end, in KiB.
    pub(crate) memory: u64,
    /// What became of the requests that were chosen.
    pub(crate) mirrored: BTreeMap<String, u64>,
}

impl Figures {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, levels: Default::default(), memory: 0, mirrored: BTreeMap::new() }
    }

    /// Chosen requests, as far as they are told or given up, in percent of all.
    fn share(&self) -> f64 {
        let all: usize = self.levels.iter().map(|level| level.latencies.len()).sum();
        self.mirrored.values().sum::<u64>() as f64 * 100.0 / all.max(1) as f64
    }
}

/// A line for each judge at each rate, and what became of the requests chosen.
pub(crate) fn table(all: &[Figures]) -> String {
    let mut table = String::new();
    for (number, rate) in RATES.iter().enumerate() {
        let base = &all[0].levels[number];
        let _ = writeln!(
            table,
            "{rate:.0} requests a second\n  {:<22}{:>10}{:>10}{:>8}{:>8}{:>10}{:>8}",
            "", "p50, us", "p99, us", "p50", "p99", "CPU, us", "failed"
        );
        for figures in all {
            let own = &figures.levels[number];
            let [p50, p99] = [50.0, 99.0].map(|percent| own.microseconds(percent));
            let [r50, r99] =
                [50.0, 99.0].map(|percent| own.microseconds(percent) / base.microseconds(percent));
            let _ = writeln!(
                table,
                "  {:<22}{p50:>10.0}{p99:>10.0}{r50:>8.2}{r99:>8.2}{:>10.0}{:>8}",
                figures.name,
                own.cpu(),
                own.failed
            );
        }
    }
    let _ = writeln!(table, "\n  {:<22}{:>10}{:>13}  became of them", "", "chosen, %", "memory, MiB");
    for figures in all {
        let mebibytes = figures.memory as f64 / 1024.0;
        let _ = writeln!(
            table,
            "  {:<22}{:>10.2}{mebibytes:>13.1}  {:?}",
            figures.name,
            figures.share(),
            figures.mirrored
        );
    }
    table
}

/// The same as JSON.
pub(crate) fn json(all: &[Figures]) -> Value {
    let one = |figures: &Figures| {
        let levels = figures.levels.iter().zip(RATES).map(|(level, rate)| {
            let mut json = level.json();
            json["rate"] = rate.into();
            json
        });
        json!({
            "name": figures.name, "levels": levels.collect::<Vec<_>>(), "memoryKib": figures.memory,
            "mirrored": figures.mirrored, "sharePercent": figures.share(),
        })
    };
    all.iter().map(one).collect()
}
