//! Holds what the judge measured against the spec's bounds.

use std::num::ParseFloatError;

use ttsfleet_crds::{GateStatus, Gates, Verdict};
use ttsfleet_wire::judge::{Measure, Quantity, Report};

/// Names of the gates, in the order in which they are reported.
pub const GATE_NAMES: [&str; 8] =
    ["cer", "mos", "prosody", "loudness", "treble", "errors", "firstSound", "latency"];

/// Pairs without which a gate does not fail, however bad they are.
const FEWEST_TO_FAIL: u64 = 10;

/// How much worse than the stable model a candidate may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Character error rate, increase in percentage points.
    pub cer_points: f64,
    /// Mean opinion score, decrease.
    pub mos_decrease: f64,
    /// Prosody, distance.
    pub prosody_distance: f64,
    /// Loudness, difference in decibels.
    pub loudness_db: f64,
    /// What lies above 8 kHz, difference in decibels.
    pub treble_db: f64,
    /// Failed requests, increase in percentage points.
    pub error_points: f64,
    /// Time to the first sound, ratio.
    pub first_sound_ratio: f64,
    /// Time to the last audio, ratio.
    pub latency_ratio: f64,
}

impl Bounds {
    /// Reads the spec's decimals.
    pub fn read(gates: &Gates) -> Result<Self, ParseFloatError> {
        Ok(Self {
            cer_points: gates.cer.max_increase_points.parse()?,
            mos_decrease: gates.mos.max_decrease.parse()?,
            prosody_distance: gates.prosody.max_distance.parse()?,
            loudness_db: gates.loudness.max_difference_db.parse()?,
            treble_db: gates.treble.max_difference_db.parse()?,
            error_points: gates.errors.max_increase_points.parse()?,
            first_sound_ratio: gates.first_sound.max_p95_ratio.parse()?,
            latency_ratio: gates.latency.max_p95_ratio.parse()?,
        })
    }
}

/// What a report says of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Findings {
    /// Pairs compared.
    pub(super) samples: u64,
    /// One for each gate.
    pub(super) gates: Vec<GateStatus>,
    /// The gates that refuse it, in words.
    pub(super) failures: Vec<String>,
}

impl Findings {
    /// Whether every gate lets it pass.
    pub(super) fn pass(&self) -> bool {
        self.gates.iter().all(|gate| gate.verdict == Verdict::Pass)
    }

    /// Names of the gates that cannot tell yet.
    pub(super) fn undecided(&self) -> String {
        let open = self.gates.iter().filter(|gate| gate.verdict == Verdict::Inconclusive);
        open.map(|gate| gate.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Holds a report against the bounds.
pub(super) fn examine(report: &Report, bounds: &Bounds) -> Findings {
    let mut findings = Findings { samples: report.samples, gates: Vec::new(), failures: Vec::new() };
    for gate in gates(bounds) {
        let measure = report.measures.iter().find(|measure| measure.quantity == gate.quantity);
        let status = gate.status(measure);
        if status.verdict == Verdict::Fail {
            findings.failures.push(format!("{}: {}, {}", status.name, status.interval, status.bound));
        }
        findings.gates.push(status);
    }
    findings
}

/// One gate: what is measured, how it is written, and its bound.
struct Gate {
    name: &'static str,
    quantity: Quantity,
    scale: Scale,
    bound: f64,
}

/// How a quantity is read and written.
#[derive(Clone, Copy)]
enum Scale {
    /// A share, whose increase is bounded in percentage points.
    Share,
    /// A score, whose decrease is bounded.
    Score,
    /// A distance.
    Distance,
    /// Levels in this unit, whose difference is bounded in decibels.
    Level(&'static str),
    /// Milliseconds, whose ratio is bounded.
    Ratio,
}

fn gates(bounds: &Bounds) -> [Gate; 8] {
    let gate =
        |index: usize, quantity, scale, bound| Gate { name: GATE_NAMES[index], quantity, scale, bound };
    [
        gate(0, Quantity::Cer, Scale::Share, bounds.cer_points),
        gate(1, Quantity::Mos, Scale::Score, bounds.mos_decrease),
        gate(2, Quantity::Prosody, Scale::Distance, bounds.prosody_distance),
        gate(3, Quantity::Loudness, Scale::Level("LUFS"), bounds.loudness_db),
        gate(4, Quantity::Treble, Scale::Level("dB"), bounds.treble_db),
        gate(5, Quantity::Errors, Scale::Share, bounds.error_points),
        gate(6, Quantity::FirstSound, Scale::Ratio, bounds.first_sound_ratio),
        gate(7, Quantity::Latency, Scale::Ratio, bounds.latency_ratio),
    ]
}

impl Gate {
    fn status(&self, measure: Option<&Measure>) -> GateStatus {
        let [baseline, candidate, interval] = measure.map_or_else(nothing, |measure| self.texts(measure));
        GateStatus {
            name: self.name.to_owned(),
            verdict: measure.map_or(Verdict::Inconclusive, |measure| self.verdict(measure)),
            baseline,
            candidate,
            interval,
            bound: self.bound_text(),
        }
    }

    fn verdict(&self, measure: &Measure) -> Verdict {
        let (best, worst) = self.worsening(measure);
        // Comparisons with what is not a number are false: no verdict.
        if worst <= self.bound {
            Verdict::Pass
        } else if best > self.bound && measure.samples >= FEWEST_TO_FAIL {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        }
    }

    /// The ends of the interval of how much worse the candidate is, in the
    /// bound's unit.
    fn worsening(&self, measure: &Measure) -> (f64, f64) {
        let Measure { low, high, .. } = *measure;
        match self.scale {
            Scale::Share => (low * 100.0, high * 100.0),
            Scale::Score => (-high, -low),
            Scale::Distance | Scale::Level(_) | Scale::Ratio => (low, high),
        }
    }

    /// Baseline, candidate, and the difference with its interval.
    fn texts(&self, measure: &Measure) -> [String; 3] {
        let Measure { baseline, candidate, difference, low, high, .. } = *measure;
        match self.scale {
            Scale::Share => [
                format!("{:.1} %", baseline * 100.0),
                format!("{:.1} %", candidate * 100.0),
                format!("{:+.2} ({:+.2} to {:+.2}) points", difference * 100.0, low * 100.0, high * 100.0),
            ],
            Scale::Score => [
                format!("{baseline:.2}"),
                format!("{candidate:.2}"),
                format!("{difference:+.3} ({low:+.3} to {high:+.3})"),
            ],
            Scale::Distance => [
                format!("{baseline:.2}"),
                format!("{candidate:.2}"),
                format!("{difference:.3} ({low:.3} to {high:.3})"),
            ],
            Scale::Level(unit) => [
                format!("{baseline:.1} {unit}"),
                format!("{candidate:.1} {unit}"),
                format!("{difference:.2} ({low:.2} to {high:.2}) dB"),
            ],
            Scale::Ratio => [
                format!("{baseline:.0} ms"),
                format!("{candidate:.0} ms"),
                format!("{difference:.2} ({low:.2} to {high:.2}) times"),
            ],
        }
    }

    fn bound_text(&self) -> String {
        let bound = self.bound;
        match self.scale {
            Scale::Share => format!("at most +{bound} points"),
            Scale::Score => format!("at most {bound} lower"),
            Scale::Distance => format!("at most {bound}"),
            Scale::Level(_) => format!("at most {bound} dB"),
            Scale::Ratio => format!("at most {bound} times"),
        }
    }
}

fn nothing() -> [String; 3] {
    ["–", "–", "no samples yet"].map(str::to_owned)
}
