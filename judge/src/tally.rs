//! All that was measured in one session.

use ttsfleet_wire::judge::{Measure, Quantity};

use crate::stats::{Design, Estimate, Latency, Mean};

/// What a pair can differ by. What differs by more counts as the end of its
/// range: a text cannot be spoilt more than wholly, and one that is should not
/// outweigh all others. The narrower a range, the fewer pairs tell where a mean
/// lies in it.
const CER: (f64, f64) = (-1.0, 1.0);
const MOS: (f64, f64) = (-1.0, 1.0);
const PROSODY: (f64, f64) = (0.0, 1.5);
const ERRORS: (f64, f64) = (-1.0, 1.0);
/// In decibels.
const LOUDNESS: (f64, f64) = (0.0, 20.0);
const TREBLE: (f64, f64) = (0.0, 20.0);

/// What one pair adds. The first of two values is the stable model's.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Whether it is the judge's own prompt.
    pub from_prompt: bool,
    /// Whether its text has been compared before: it adds failures and times.
    pub repeated: bool,
    /// Which sides failed.
    pub failed: [bool; 2],
    /// Character error rates.
    pub cer: Option<[f64; 2]>,
    /// Estimated mean opinion scores.
    pub mos: Option<[f64; 2]>,
    /// Distance of the prosodies.
    pub prosody: Option<f64>,
    /// Integrated loudness, in LUFS.
    pub loudness: Option<[f64; 2]>,
    /// Level above 8 kHz relative to the whole, in decibels.
    pub treble: Option<[f64; 2]>,
    /// Milliseconds to the first sound.
    pub first_sound_ms: Option<[f64; 2]>,
    /// Milliseconds to the last audio.
    pub total_ms: Option<[f64; 2]>,
}

/// A quantity of both sides, and how they differ in pairs.
#[derive(Debug, Clone)]
struct Paired {
    quantity: Quantity,
    sums: [f64; 2],
    difference: Mean,
}

/// Everything measured so far, in a bounded amount of memory.
#[derive(Debug, Clone)]
pub struct Tally {
    design: Design,
    samples: u64,
    from_prompts: u64,
    repeated: u64,
    cer: Paired,
    mos: Paired,
    prosody: Paired,
    loudness: Paired,
    treble: Paired,
    errors: Paired,
    first_sound: Latency,
    latency: Latency,
}

impl Paired {
    fn new(quantity: Quantity, range: (f64, f64)) -> Self {
        Self { quantity, sums: [0.0; 2], difference: Mean::new(range) }
    }

    /// Takes a pair, and how much it differs by.
    fn push(&mut self, sides: [f64; 2], difference: f64) {
        if sides.iter().all(|value| value.is_finite()) && difference.is_finite() {
            self.sums.iter_mut().zip(sides).for_each(|(sum, value)| *sum += value);
            self.difference.push(difference);
        }
    }

    fn measure(&self, design: Design) -> Measure {
        let count = self.difference.count();
        let means = self.sums.map(|sum| sum / count.max(1) as f64);
        measure(self.quantity, count, means, self.difference.estimate(design))
    }
}

impl Tally {
    /// Nothing yet.
    pub fn new(design: Design) -> Self {
        Self {
            design,
            samples: 0,
            from_prompts: 0,
            repeated: 0,
            cer: Paired::new(Quantity::Cer, CER),
            mos: Paired::new(Quantity::Mos, MOS),
            prosody: Paired::new(Quantity::Prosody, PROSODY),
            loudness: Paired::new(Quantity::Loudness, LOUDNESS),
            treble: Paired::new(Quantity::Treble, TREBLE),
            errors: Paired::new(Quantity::Errors, ERRORS),
            first_sound: Latency::new(design),
            latency: Latency::new(design),
        }
    }

    /// Takes a pair.
    pub fn push(&mut self, sample: &Sample) {
        self.repeated += u64::from(sample.repeated);
        let failures = sample.failed.map(|failed| f64::from(u8::from(failed)));
        self.errors.push(failures, failures[1] - failures[0]);
        if sample.failed == [false; 2] && !sample.repeated {
            self.samples += 1;
            self.from_prompts += u64::from(sample.from_prompt);
            self.compare(sample);
        }
        if let Some([baseline, candidate]) = sample.first_sound_ms {
            self.first_sound.push(baseline, candidate);
        }
        if let Some([baseline, candidate]) = sample.total_ms {
            self.latency.push(baseline, candidate);
        }
    }

    /// What depends on the text, and counts once for each.
    fn compare(&mut self, sample: &Sample) {
        for (paired, sides) in [(&mut self.cer, sample.cer), (&mut self.mos, sample.mos)] {
            if let Some([baseline, candidate]) = sides {
                paired.push([baseline, candidate], candidate - baseline);
            }
        }
        if let Some(distance) = sample.prosody {
            self.prosody.push([0.0, distance], distance);
        }
        // Too much is as wrong as too little, and the two do not make up for each other.
        for (paired, sides) in [(&mut self.loudness, sample.loudness), (&mut self.treble, sample.treble)] {
            if let Some([baseline, candidate]) = sides {
                paired.push([baseline, candidate], (candidate - baseline).abs());
            }
        }
    }

    /// Texts compared, each once.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Of these, the judge's own prompts.
    pub fn from_prompts(&self) -> u64 {
        self.from_prompts
    }

    /// Pairs whose text had been compared before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// One measure for each quantity that has a sample.
    pub fn measures(&self) -> Vec<Measure> {
        let means = [&self.cer, &self.mos, &self.prosody, &self.loudness, &self.treble, &self.errors];
        let mut measures: Vec<Measure> = means.map(|paired| paired.measure(self.design)).to_vec();
        let times = [(Quantity::FirstSound, &self.first_sound), (Quantity::Latency, &self.latency)];
        measures.extend(times.into_iter().filter_map(|(quantity, latency)| {
            let seen = latency.last()?;
            Some(measure(quantity, seen.count, [seen.baseline, seen.candidate], seen.ratio))
        }));
        measures.retain(|measure| measure.samples > 0);
        measures
    }
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
        repeated: false,
        failed: [false; 2],
        cer: Some([0.1, 0.1]),
        mos: Some([3.5, 3.4]),
        prosody: Some(0.2),
        loudness: Some([-23.0, -24.0]),
        treble: Some([-30.0, -28.0]),
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
        assert!(prosody.baseline == 0.0 && (prosody.difference - 0.2).abs() < 1e-4);
        let loudness = find(&tally, Quantity::Loudness);
        assert_eq!((loudness.baseline, loudness.candidate, loudness.difference), (-23.0, -24.0, 1.0));
        assert_eq!(find(&tally, Quantity::Treble).difference, 2.0);
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
        assert_eq!(quantities, [Quantity::Cer, Quantity::Loudness, Quantity::Treble, Quantity::Errors]);
    }

    #[test]
    fn too_loud_and_too_quiet_do_not_make_up_for_each_other() {
        let [louder, quieter] = [-17.0, -29.0].map(|level| Sample { loudness: Some([-23.0, level]), ..GOOD });
        let loudness = find(&of([(20, louder), (20, quieter)]), Quantity::Loudness);
        assert!((loudness.difference - 6.0).abs() < 1e-9 && loudness.low > 3.0, "{loudness:?}");
    }

    #[test]
    fn a_text_that_comes_again_counts_for_failures_and_times_alone() {
        let again = Sample { repeated: true, from_prompt: false, cer: Some([0.1, 0.9]), ..GOOD };
        let tally = of([(30, GOOD), (30, again)]);
        assert_eq!((tally.samples(), tally.from_prompts(), tally.repeated()), (30, 30, 30));
        assert_eq!(find(&tally, Quantity::Cer).samples, 30);
        assert!(find(&tally, Quantity::Cer).difference.abs() < 1e-9);
        assert_eq!(find(&tally, Quantity::Errors).samples, 60);
        assert_eq!(find(&tally, Quantity::Latency).samples, 40);
    }

    #[test]
    fn every_number_of_a_report_can_be_written_in_json() {
        for pairs in [1, 19, 20, 60] {
            let json = serde_json::to_string(&of([(pairs, GOOD)]).measures()).unwrap();
            assert!(!json.contains("null"), "{json}");
        }
    }
}
