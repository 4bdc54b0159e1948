//! Comparisons drawn from measured pairs.

use std::fmt;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use ttsfleet_judge::{
    stats::Design,
    tally::{Sample, Tally},
};
use ttsfleet_wire::judge::{Measure, Quantity};

const DESIGN: Design = Design { alpha: 0.05, aimed_at: 300 };
/// Pairs from look to look.
const LOOK_EVERY: usize = 10;
/// Gates that are held against what is measured.
pub(crate) const GATES: [&str; 5] = ["cer", "mos", "prosody", "loudness", "treble"];

/// How much worse a candidate may be, in the units of the measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gates([f64; GATES.len()]);

/// How many comparisons of how many pairs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) runs: u32,
    pub(crate) pairs: usize,
}

/// How comparisons ended, as shares of all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    runs: u32,
    /// Some gate failed at some look.
    failed: u32,
    /// Which.
    by: [u32; GATES.len()],
    /// All gates passed at the last look.
    passed: u32,
    /// Ends of the intervals at the last look, the worse ones.
    ends: [Vec<f64>; GATES.len()],
}

impl Gates {
    /// Those of a fleet that says nothing.
    pub(crate) const DEFAULT: Self = Self([0.02, 0.10, 0.25, 3.0, 6.0]);

    pub(crate) fn to_json(self) -> Value {
        by_gate(self.0)
    }

    /// Which gate, and the interval of how much worse the candidate is.
    fn held_against(measure: &Measure) -> Option<(usize, [f64; 2])> {
        let Measure { low, high, .. } = *measure;
        match measure.quantity {
            Quantity::Cer => Some((0, [low, high])),
            Quantity::Mos => Some((1, [-high, -low])),
            Quantity::Prosody => Some((2, [low, high])),
            Quantity::Loudness => Some((3, [low, high])),
            Quantity::Treble => Some((4, [low, high])),
            Quantity::Errors | Quantity::FirstSound | Quantity::Latency => None,
        }
    }
}

fn by_gate(values: [f64; GATES.len()]) -> Value {
    GATES.iter().zip(values).map(|(gate, value)| ((*gate).to_owned(), json!(value))).collect()
}

/// Comparisons, each with the pairs in another order.
pub(crate) fn runs(samples: &[Sample], rounds: Rounds, gates: &Gates) -> Outcome {
    let mut random = SmallRng::seed_from_u64(17);
    let mut outcome = Outcome { runs: rounds.runs, ..Outcome::default() };
    for _ in 0..rounds.runs {
        let pairs = drawn(samples, rounds.pairs, &mut random);
        let mut tally = Tally::new(DESIGN);
        let mut failed = [false; GATES.len()];
        for (number, pair) in pairs.into_iter().enumerate() {
            tally.push(pair);
            let looks = number % LOOK_EVERY == LOOK_EVERY - 1;
            for measure in looks.then(|| tally.measures()).into_iter().flatten() {
                if let Some((gate, [best, _])) = Gates::held_against(&measure) {
                    failed[gate] |= best > gates.0[gate];
                }
            }
        }
        let mut passed = true;
        for measure in tally.measures() {
            if let Some((gate, [_, worst])) = Gates::held_against(&measure) {
                outcome.ends[gate].push(worst);
                passed &= worst <= gates.0[gate];
            }
        }
        outcome.passed += u32::from(passed);
        outcome.failed += u32::from(failed.contains(&true));
        outcome.by.iter_mut().zip(failed).for_each(|(by, failed)| *by += u32::from(failed));
    }
    outcome
}

/// Pairs in a random order, each once before any comes twice.
fn drawn<'a>(samples: &'a [Sample], count: usize, random: &mut SmallRng) -> Vec<&'a Sample> {
    let mut pairs: Vec<&Sample> = samples.iter().collect();
    pairs.shuffle(random);
    while pairs.len() < count {
        pairs.push(&samples[random.random_range(0..samples.len())]);
    }
    pairs.truncate(count);
    pairs
}

impl Outcome {
    fn share(&self, count: u32) -> f64 {
        f64::from(count) / f64::from(self.runs.max(1))
    }

    /// What nine of ten intervals end below.
    fn end(&self, gate: usize) -> f64 {
        let mut ends = self.ends[gate].clone();
        ends.sort_by(f64::total_cmp);
        ends.get(ends.len() * 9 / 10).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "failed": self.share(self.failed),
            "passed": self.share(self.passed),
            "failedBy": by_gate(self.by.map(|count| self.share(count))),
            "worstEnds90": by_gate(std::array::from_fn(|gate| self.end(gate))),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count| 100.0 * self.share(count);
        write!(formatter, "fail {:5.1} %, pass {:5.1} %;", percent(self.failed), percent(self.passed))?;
        for (gate, name) in GATES.iter().enumerate() {
            write!(formatter, " {name} {:.1} % to {:+.3}", percent(self.by[gate]), self.end(gate))?;
        }
        Ok(())
    }
}

/// Means of the differences.
pub(crate) struct Means([f64; GATES.len()]);

/// Their means and spreads.
pub(crate) struct Spread {
    means: [f64; GATES.len()],
    spreads: [f64; GATES.len()],
}

fn columns(samples: &[Sample]) -> [Vec<f64>; GATES.len()] {
    let difference = |sides: Option<[f64; 2]>| sides.map(|[baseline, candidate]| candidate - baseline);
    let of = |quantity: fn(&Sample) -> Option<[f64; 2]>| {
        samples.iter().filter_map(|sample| difference(quantity(sample))).collect::<Vec<f64>>()
    };
    let size = |values: Vec<f64>| values.into_iter().map(f64::abs).collect();
    [
        of(|sample| sample.cer),
        of(|sample| sample.mos),
        samples.iter().filter_map(|sample| sample.prosody).collect(),
        size(of(|sample| sample.loudness)),
        size(of(|sample| sample.treble)),
    ]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub(crate) fn means(samples: &[Sample]) -> Means {
    Means(columns(samples).map(|values| mean(&values)))
}

pub(crate) fn spread(samples: &[Sample]) -> Spread {
    let columns = columns(samples);
    let spreads = columns.each_ref().map(|values| {
        let mean = mean(values);
        let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
        self::mean(&squares).sqrt()
    });
    Spread { means: columns.map(|values| mean(&values)), spreads }
}

impl Means {
    pub(crate) fn to_json(&self) -> Value {
        by_gate(self.0)
    }
}

impl fmt::Display for Means {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, mean) in GATES.iter().zip(self.0) {
            write!(formatter, "{name} {mean:+.3} ")?;
        }
        Ok(())
    }
}

impl Spread {
    pub(crate) fn to_json(&self) -> Value {
        json!({"means": by_gate(self.means), "spreads": by_gate(self.spreads)})
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the same voice:")?;
        for (gate, name) in GATES.iter().enumerate() {
            write!(formatter, " {name} {:+.4} (spread {:.4})", self.means[gate], self.spreads[gate])?;
        }
        Ok(())
    }
}
