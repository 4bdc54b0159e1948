//! Comparisons drawn from measured pairs.

use std::fmt;

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use ttsfleet_judge::{
    stats::Design,
    tally::{Sample, Tally},
};
use ttsfleet_wire::judge::{Measure, Quantity};

const DESIGN: Design = Design { alpha: 0.05, aimed_at: 100 };

/// How much worse a candidate may be, in the units of the measures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gates {
    cer: f64,
    mos: f64,
    prosody: f64,
}

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
    by: [u32; 3],
    /// All gates passed at the last look.
    passed: u32,
    /// Ends of the intervals at the last look, the worse ones.
    ends: [Vec<f64>; 3],
}

impl Gates {
    /// Those of a fleet that says nothing.
    pub(crate) const DEFAULT: Self = Self { cer: 0.02, mos: 0.10, prosody: 0.25 };

    pub(crate) fn to_json(self) -> Value {
        json!({"cer": self.cer, "mos": self.mos, "prosody": self.prosody})
    }

    /// Bound, and the interval of how much worse the candidate is.
    fn held_against(&self, measure: &Measure) -> Option<(usize, f64, [f64; 2])> {
        let Measure { low, high, .. } = *measure;
        match measure.quantity {
            Quantity::Cer => Some((0, self.cer, [low, high])),
            Quantity::Mos => Some((1, self.mos, [-high, -low])),
            Quantity::Prosody => Some((2, self.prosody, [low, high])),
            Quantity::Errors | Quantity::FirstSound | Quantity::Latency => None,
        }
    }
}

/// Comparisons, each with the pairs in another order.
pub(crate) fn runs(samples: &[Sample], rounds: Rounds, gates: &Gates) -> Outcome {
    let mut random = SmallRng::seed_from_u64(17);
    let mut outcome = Outcome { runs: rounds.runs, ..Outcome::default() };
    for _ in 0..rounds.runs {
        let pairs = drawn(samples, rounds.pairs, &mut random);
        let mut tally = Tally::new(DESIGN);
        let mut failed = [false; 3];
        for pair in pairs {
            tally.push(pair);
            for measure in tally.measures() {
                if let Some((gate, bound, [best, _])) = gates.held_against(&measure) {
                    failed[gate] |= best > bound;
                }
            }
        }
        let mut passed = true;
        for measure in tally.measures() {
            if let Some((gate, bound, [_, worst])) = gates.held_against(&measure) {
                outcome.ends[gate].push(worst);
                passed &= worst <= bound;
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
            "failedBy": {
                "cer": self.share(self.by[0]), "mos": self.share(self.by[1]), "prosody": self.share(self.by[2]),
            },
            "worstEnds90": [self.end(0), self.end(1), self.end(2)],
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count| 100.0 * self.share(count);
        write!(
            formatter,
            "fail {:5.1} % (cer {:5.1}, mos {:5.1}, prosody {:5.1}), pass {:5.1} %; ends {:+.3} {:+.3} {:.3}",
            percent(self.failed),
            percent(self.by[0]),
            percent(self.by[1]),
            percent(self.by[2]),
            percent(self.passed),
            self.end(0),
            self.end(1),
            self.end(2),
        )
    }
}

/// Means of the differences: character error rate, opinion score, prosody.
pub(crate) struct Means(pub(crate) [f64; 3]);

/// Their means and spreads.
pub(crate) struct Spread {
    means: [f64; 3],
    spreads: [f64; 3],
}

fn columns(samples: &[Sample]) -> [Vec<f64>; 3] {
    let difference = |sides: Option<[f64; 2]>| sides.map(|[baseline, candidate]| candidate - baseline);
    [
        samples.iter().filter_map(|sample| difference(sample.cer)).collect(),
        samples.iter().filter_map(|sample| difference(sample.mos)).collect(),
        samples.iter().filter_map(|sample| sample.prosody).collect(),
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

impl fmt::Display for Means {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cer, mos, prosody] = self.0;
        write!(formatter, "cer {:+5.1} points, mos {mos:+.3}, prosody {prosody:.3};", cer * 100.0)
    }
}

impl Spread {
    pub(crate) fn to_json(&self) -> Value {
        json!({"means": self.means, "spreads": self.spreads})
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([cer, mos, prosody], [of_cer, of_mos, of_prosody]) = (self.means, self.spreads);
        write!(
            formatter,
            "the same voice: cer {:+.2} points (spread {:.2}), mos {mos:+.4} (spread {of_mos:.4}), \
             prosody {prosody:.4} (spread {of_prosody:.4})",
            cer * 100.0,
            of_cer * 100.0,
        )
    }
}
