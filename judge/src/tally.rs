//! All that was measured in one session.

use ttsfleet_wire::judge::{Measure, Quantity};

use crate::stats::{Design, Estimate, Latency, Mean, Prior, Shares};

/// Spreads are about what pairs of one model's own audio show.
const CER: Prior = Prior { range: (-1.0, 1.0), spread: 0.1 };
const MOS: Prior = Prior { range: (-4.0, 4.0), spread: 0.1 };
const PROSODY: Prior = Prior { range: (0.0, 2.5), spread: 0.1 };

/// What one pair adds. The first of two values is the stable model's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Whether it is the judge's own prompt.
    pub from_prompt: bool,
    /// Which sides failed.
    pub failed: [bool; 2],
    /// Character error rates.
    pub cer: Option<[f64; 2]>,
    /// Estimated mean opinion scores.
    pub mos: Option<[f64; 2]>,
    /// Distance of the prosodies.
    pub prosody: Option<f64>,
    /// Milliseconds to the first sound.
    pub first_sound_ms: Option<[f64; 2]>,
    /// Milliseconds to the last audio.
    pub total_ms: Option<[f64; 2]>,
}

/// A quantity of both sides, and its difference in pairs.
#[derive(Debug, Clone, Copy)]
struct Paired {
    sides: [Mean; 2],
    difference: Mean,
}

/// Everything measured so far, in a bounded amount of memory.
#[derive(Debug, Clone)]
pub struct Tally {
    design: Design,
    samples: u64,
    from_prompts: u64,
    cer: Paired,
    mos: Paired,
    prosody: Mean,
    failures: Shares,
    first_sound: Latency,
    latency: Latency,
}

impl Paired {
    fn new(prior: Prior) -> Self {
        let (low, high) = prior.range;
        let widest = low.abs().max(high.abs()) + 1.0;
        let side = Mean::new(Prior { range: (-widest, widest), ..prior });
        Self { sides: [side; 2], difference: Mean::new(prior) }
    }

    fn push(&mut self, [baseline, candidate]: [f64; 2]) {
        self.sides[0].push(baseline);
        self.sides[1].push(candidate);
        self.difference.push(candidate - baseline);
    }

    fn measure(&self, quantity: Quantity, design: Design) -> Measure {
        let [baseline, candidate] = self.sides.map(|side| side.mean());
        measure(quantity, self.difference.count(), [baseline, candidate], self.difference.estimate(design))
    }
}

impl Tally {
    /// Nothing yet.
    pub fn new(design: Design) -> Self {
        Self {
            design,
            samples: 0,
            from_prompts: 0,
            cer: Paired::new(CER),
            mos: Paired::new(MOS),
            prosody: Mean::new(PROSODY),
            failures: Shares::default(),
            first_sound: Latency::new(design),
            latency: Latency::new(design),
        }
    }

    /// Takes a pair.
    pub fn push(&mut self, sample: &Sample) {
        self.samples += 1;
        self.from_prompts += u64::from(sample.from_prompt);
        let [baseline, candidate] = sample.failed;
        self.failures.push(baseline, candidate);
        if let Some(rates) = finite(sample.cer) {
            self.cer.push(rates);
        }
        if let Some(scores) = finite(sample.mos) {
            self.mos.push(scores);
        }
        if let Some(distance) = sample.prosody.filter(|distance| distance.is_finite()) {
            self.prosody.push(distance);
        }
        if let Some([baseline, candidate]) = sample.first_sound_ms {
            self.first_sound.push(baseline, candidate);
        }
        if let Some([baseline, candidate]) = sample.total_ms {
            self.latency.push(baseline, candidate);
        }
    }

    /// Pairs taken.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Of these, the judge's own prompts.
    pub fn from_prompts(&self) -> u64 {
        self.from_prompts
    }

    /// One measure for each quantity that has a sample.
    pub fn measures(&self) -> Vec<Measure> {
        let design = self.design;
        let failures = &self.failures;
        let shares = [failures.baseline(), failures.candidate()];
        let mut measures = vec![
            self.cer.measure(Quantity::Cer, design),
            self.mos.measure(Quantity::Mos, design),
            measure(
                Quantity::Prosody,
                self.prosody.count(),
                [0.0, self.prosody.mean()],
                self.prosody.estimate(design),
            ),
            measure(Quantity::Errors, failures.count(), shares, failures.estimate(design)),
        ];
        let times = [(Quantity::FirstSound, &self.first_sound), (Quantity::Latency, &self.latency)];
        measures.extend(times.into_iter().filter_map(|(quantity, latency)| {
            let seen = latency.last()?;
            Some(measure(quantity, seen.count, [seen.baseline, seen.candidate], seen.ratio))
        }));
        measures.retain(|measure| measure.samples > 0);
        measures
    }
}

fn finite(values: Option<[f64; 2]>) -> Option<[f64; 2]> {
    values.filter(|values| values.iter().all(|value| value.is_finite()))
}

fn measure(
    quantity: Quantity,
    samples: u64,
    [baseline, candidate]: [f64; 2],
    Estimate { value, low, high }: Estimate,
) -> Measure {
    Measure { quantity, samples, baseline, candidate, difference: value, low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: Design = Design { alpha: 0.05, aimed_at: 40 };
    const GOOD: Sample = Sample {
        from_prompt: true,
        failed: [false; 2],
        cer: Some([0.1, 0.1]),
        mos: Some([3.5, 3.4]),
        prosody: Some(0.2),
        first_sound_ms: Some([200.0, 180.0]),
        total_ms: Some([500.0, 550.0]),
    };

    fn of<const N: usize>(samples: [(u32, Sample); N]) -> Tally {
        let mut tally = Tally::new(DESIGN);
        for (times, sample) in samples {
            (0..times).for_each(|_| tally.push(&sample));
        }
        tally
    }

    fn find(tally: &Tally, quantity: Quantity) -> Measure {
        tally.measures().into_iter().find(|measure| measure.quantity == quantity).unwrap()
    }

    #[test]
    fn without_samples_nothing_is_measured() {
        assert_eq!(of([]).measures(), []);
    }

    #[test]
    fn each_quantity_is_measured_in_pairs() {
        let tally = of([(45, GOOD)]);
        assert_eq!((tally.samples(), tally.from_prompts()), (45, 45));
        let mos = find(&tally, Quantity::Mos);
        assert!((mos.baseline - 3.5).abs() < 1e-9 && (mos.candidate - 3.4).abs() < 1e-9);
        assert!((mos.difference + 0.1).abs() < 1e-9 && mos.low < -0.1 && mos.high > -0.1);
        let prosody = find(&tally, Quantity::Prosody);
        assert!(prosody.baseline == 0.0 && (prosody.difference - 0.2).abs() < 1e-9);
        let first_sound = find(&tally, Quantity::FirstSound);
        assert_eq!((first_sound.baseline, first_sound.candidate), (200.0, 180.0));
        assert!((first_sound.difference - 0.9).abs() < 1e-9 && first_sound.samples == 40);
        let latency = find(&tally, Quantity::Latency);
        assert_eq!((latency.baseline, latency.candidate), (500.0, 550.0));
        assert!((latency.difference - 1.1).abs() < 1e-9 && latency.samples == 40);
        assert_eq!(find(&tally, Quantity::Errors).difference, 0.0);
    }

    #[test]
    fn a_pair_with_a_failure_counts_for_failures_alone() {
        let failed = Sample { failed: [false, true], ..Sample::default() };
        let tally = of([(10, GOOD), (10, failed)]);
        assert_eq!(find(&tally, Quantity::Cer).samples, 10);
        let errors = find(&tally, Quantity::Errors);
        assert_eq!((errors.samples, errors.candidate, errors.difference), (20, 0.5, 0.5));
    }

    #[test]
    fn what_is_no_number_is_no_sample() {
        let odd = Sample { mos: Some([f64::NAN, 3.0]), prosody: Some(f64::INFINITY), ..GOOD };
        let measures = of([(3, odd)]).measures();
        let quantities: Vec<Quantity> = measures.iter().map(|measure| measure.quantity).collect();
        assert_eq!(quantities, [Quantity::Cer, Quantity::Errors]);
    }

    #[test]
    fn every_number_of_a_report_can_be_written_in_json() {
        for pairs in [1, 19, 20, 60] {
            let json = serde_json::to_string(&of([(pairs, GOOD)]).measures()).unwrap();
            assert!(!json.contains("null"), "{json}");
        }
    }
}
