//! What became of the requests, side by side.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::load::{Outcome, Sample, percentile};
use crate::{BURST, CALM};

/// One side's figures. Times are in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) side: &'static str,
    requests: usize,
    spoken: usize,
    truncated: usize,
    /// Answered with a file without sound.
    empty: usize,
    refused: usize,
    /// Errors that are no refusal, and answers that broke off or never came.
    failed: usize,
    /// Those in percent of the requests that were not refused.
    failed_percent: f64,
    /// How they failed, and in which second they had been sent.
    failures: Vec<String>,
    memory_kills: usize,
    /// Seconds of speech a second with callers that wait for each other.
    capacity: f64,
    /// The same while three times the load came, in percent of the capacity.
    goodput_percent: f64,
    /// Longest time in it in which no answer began, in seconds.
    longest_gap: f64,
    unloaded_p50: f64,
    unloaded_p99: f64,
    unloaded_total_p50: f64,
    unloaded_total_p99: f64,
    p50: f64,
    p99: f64,
    total_p50: f64,
    total_p99: f64,
    refusal_p50: f64,
    refusal_p99: f64,
}

impl Figures {
    pub(crate) fn new(
        side: &'static str,
        capacity: f64,
        unloaded: &[Sample],
        samples: &[Sample],
        memory_kills: usize,
    ) -> Self {
        let spoken = |sample: &&Sample| matches!(&sample.outcome, Outcome::Spoken { degraded, .. } if degraded.as_deref() != Some("empty-audio"));
        let count = |is: fn(&Outcome) -> bool| samples.iter().filter(|sample| is(&sample.outcome)).count();
        let served: Vec<&Sample> = samples.iter().filter(spoken).collect();
        let refused = count(|outcome| matches!(outcome, Outcome::Refused { .. }));
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::Broken(_)));
        let admitted = samples.len() - refused;
        let first = |samples: &[&Sample], percent| milliseconds(samples.iter().map(|one| one.first), percent);
        let total = |samples: &[&Sample], percent| milliseconds(samples.iter().map(|one| one.total), percent);
        let unloaded: Vec<&Sample> = unloaded.iter().collect();
        let refusals = samples.iter().filter(|one| matches!(one.outcome, Outcome::Refused { .. }));
        Self {
            side,
            requests: samples.len(),
            spoken: served.len(),
            truncated: count(|outcome| matches!(outcome, Outcome::Spoken { truncated: true, .. })),
            empty: admitted - served.len() - failed,
            refused,
            failed,
            failed_percent: 100.0 * failed as f64 / admitted.max(1) as f64,
            failures: samples.iter().filter_map(Sample::failure).collect(),
            memory_kills,
            capacity,
            goodput_percent: 100.0 * goodput(&served) / capacity,
            longest_gap: longest_gap(&served),
            unloaded_p50: first(&unloaded, 50.0),
            unloaded_p99: first(&unloaded, 99.0),
            unloaded_total_p50: total(&unloaded, 50.0),
            unloaded_total_p99: total(&unloaded, 99.0),
            p50: first(&served, 50.0),
            p99: first(&served, 99.0),
            total_p50: total(&served, 50.0),
            total_p99: total(&served, 99.0),
            refusal_p50: milliseconds(refusals.clone().map(|one| one.total), 50.0),
            refusal_p99: milliseconds(refusals.map(|one| one.total), 99.0),
        }
    }
}

/// Seconds of speech a second that came while three times the load did, in
/// answers that were whole in the end. Its first second tells of what was there
/// before.
fn goodput(served: &[&Sample]) -> f64 {
    let (from, to) = (CALM + 1.0, BURST);
    served.iter().map(|sample| sample.came(from, to)).sum::<f64>() / (to - from)
}

fn longest_gap(served: &[&Sample]) -> f64 {
    let begun = served.iter().map(|sample| (sample.at + sample.first).as_secs_f64());
    let mut times: Vec<f64> = begun.filter(|time| (CALM..BURST).contains(time)).collect();
    times.extend([CALM, BURST]);
    times.sort_by(f64::total_cmp);
    times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

fn milliseconds(values: impl Iterator<Item = Duration>, percent: f64) -> f64 {
    let mut values: Vec<Duration> = values.collect();
    percentile(&mut values, percent).as_secs_f64() * 1000.0
}

/// A line for each figure, a column for each side.
pub(crate) fn table(rate: f64, sides: &[Figures]) -> String {
    let mut table = format!("the pods can do {rate:.1} requests a second\n");
    let mut line = |name: &str, value: &dyn Fn(&Figures) -> String| {
        let columns: String = sides.iter().map(|side| format!("{:>17}", value(side))).collect();
        let _ = writeln!(table, "{name:<34}{columns}");
    };
    line("", &|side| side.side.to_owned());
    line("requests", &|side| side.requests.to_string());
    line("spoken", &|side| side.spoken.to_string());
    line("  of them cut", &|side| side.truncated.to_string());
    line("a file without sound", &|side| side.empty.to_string());
    line("refused", &|side| side.refused.to_string());
    line("failed", &|side| side.failed.to_string());
    line("failed, % of those not refused", &|side| format!("{:.2}", side.failed_percent));
    line("killed for memory", &|side| side.memory_kills.to_string());
    line("capacity, s of speech a second", &|side| format!("{:.1}", side.capacity));
    line("goodput at 3 x, % of capacity", &|side| format!("{:.0}", side.goodput_percent));
    line("longest gap at 3 x, s", &|side| format!("{:.1}", side.longest_gap));
    line("first audio p50, unloaded, ms", &|side| format!("{:.0}", side.unloaded_p50));
    line("first audio p99, unloaded, ms", &|side| format!("{:.0}", side.unloaded_p99));
    line("whole answer p50, unloaded, ms", &|side| format!("{:.0}", side.unloaded_total_p50));
    line("whole answer p99, unloaded, ms", &|side| format!("{:.0}", side.unloaded_total_p99));
    line("first audio p50, ms", &|side| format!("{:.0}", side.p50));
    line("first audio p99, ms", &|side| format!("{:.0}", side.p99));
    line("whole answer p50, ms", &|side| format!("{:.0}", side.total_p50));
    line("whole answer p99, ms", &|side| format!("{:.0}", side.total_p99));
    line("refusal p50, ms", &|side| format!("{:.0}", side.refusal_p50));
    line("refusal p99, ms", &|side| format!("{:.0}", side.refusal_p99));
    table
}
