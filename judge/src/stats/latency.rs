//! Ratio of two 95th percentiles, measured in pairs.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{Design, Estimate};

/// Pairs that are left out: the first requests find cold caches.
const WARM_UP: u64 = 5;
/// Pairs kept; older ones make room, so that memory is bounded.
const MOST: usize = 2_000;
/// Looks at shares of the pairs aimed at, and the part of α that each may spend.
const LOOKS: [(f64, f64); 3] = [(0.5, 0.1), (0.75, 0.15), (1.0, 0.5)];
/// After these each look comes at half as many pairs more, and spends half of
/// what is left.
const NEXT_LOOK: f64 = 1.5;
/// Fewest pairs that a percentile is taken of.
const FEWEST: f64 = 20.0;
/// No interval is narrower to either side: equal times by luck prove little.
const NARROWEST: f64 = 1.01;
/// No interval reaches further: the largest bound there is lets all pass.
const WIDEST: f64 = 100.0;
/// A pair as bad as can be, in milliseconds.
const WORST: (f64, f64) = (1e-3, 1e12);
const RESAMPLES: usize = 2000;
const PERCENTILE: f64 = 0.95;

/// How long both sides take to the same point of their audio, in milliseconds.
///
/// Percentiles have no simple interval that holds at every look. Here α is
/// spent over looks planned beforehand; between two of them the report repeats
/// what the last one saw. Each look's interval comes from a bootstrap that
/// resamples pairs: both sides speak the same texts, so most of what makes one
/// sample slow makes the other slow as well. A bootstrap knows no answer slower
/// than the slowest it was given, and a rare slow tail may not show in the first
/// pairs: the upper end, which lets a candidate pass, is resampled with one pair
/// more, as bad as can be. The lower end, which refuses it, is not: who is slower
/// in all that was seen is refused early.
#[derive(Debug, Clone)]
pub struct Latency {
    design: Design,
    seen: u64,
    pairs: Vec<(f64, f64)>,
    looks: u32,
    last: Option<Percentiles>,
}

/// What a look saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles {
    /// Pairs it was seen in.
    pub count: u64,
    /// 95th percentile of the stable model, in milliseconds.
    pub baseline: f64,
    /// Of the candidate.
    pub candidate: f64,
    /// Their ratio, candidate to stable model.
    pub ratio: Estimate,
}

impl Latency {
    /// Of nothing yet.
    pub fn new(design: Design) -> Self {
        Self { design, seen: 0, pairs: Vec::new(), looks: 0, last: None }
    }

    /// Takes a pair of times in milliseconds.
    pub fn push(&mut self, baseline: f64, candidate: f64) {
        self.seen += 1;
        let sane = [baseline, candidate].iter().all(|time| time.is_finite() && *time > 0.0);
        if self.seen <= WARM_UP || !sane {
            return;
        }
        if self.pairs.len() == MOST {
            self.pairs.remove(0);
        }
        self.pairs.push((baseline, candidate));
        let (at, spends) = look(self.looks);
        if (self.seen - WARM_UP) as f64 >= (at * self.design.aimed_at as f64).max(FEWEST) {
            self.last = Some(self.look(spends * self.design.alpha));
            self.looks += 1;
        }
    }

    /// What the last look saw.
    pub fn last(&self) -> Option<Percentiles> {
        self.last
    }

    fn look(&self, alpha: f64) -> Percentiles {
        let mut random = SmallRng::seed_from_u64(self.seen);
        let (baseline, candidate) = percentiles(&mut self.pairs.clone());
        let value = candidate / baseline;
        let low = quantile(&self.resampled(&self.pairs, &mut random), alpha / 2.0);
        let and_one_more: Vec<_> = self.pairs.iter().copied().chain([WORST]).collect();
        let high = quantile(&self.resampled(&and_one_more, &mut random), 1.0 - alpha / 2.0);
        let (low, high) = (low.min(value / NARROWEST), high.max(value * NARROWEST));
        let ratio = Estimate { value, low: low.max(1.0 / WIDEST), high: high.min(WIDEST) };
        Percentiles { count: self.pairs.len() as u64, baseline, candidate, ratio }
    }

    /// Ratios in sets drawn from some pairs, as many as were measured; sorted.
    fn resampled(&self, from: &[(f64, f64)], random: &mut SmallRng) -> Vec<f64> {
        let mut set = self.pairs.clone();
        let mut ratios: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                set.iter_mut().for_each(|pair| *pair = from[random.random_range(0..from.len())]);
                let (baseline, candidate) = percentiles(&mut set);
                candidate / baseline
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }
}

/// When a look comes, as a share of the pairs aimed at, and the part of α it spends.
fn look(number: u32) -> (f64, f64) {
    let planned = LOOKS.len() as u32;
    if let Some(look) = LOOKS.get(number as usize) {
        return *look;
    }
    let later = number - planned + 1;
    let left = 1.0 - LOOKS.iter().map(|(_, part)| part).sum::<f64>();
    let times = i32::try_from(later).unwrap_or(i32::MAX);
    (NEXT_LOOK.powi(times), left * 0.5_f64.powi(times))
}

fn percentiles(pairs: &mut [(f64, f64)]) -> (f64, f64) {
    let rank = ((pairs.len() as f64 * PERCENTILE).ceil() as usize).clamp(1, pairs.len()) - 1;
    let baseline = pairs.select_nth_unstable_by(rank, |a, b| a.0.total_cmp(&b.0)).1.0;
    let candidate = pairs.select_nth_unstable_by(rank, |a, b| a.1.total_cmp(&b.1)).1.1;
    (baseline, candidate)
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = (share * (sorted.len() - 1) as f64).round() as usize;
    sorted[index.min(sorted.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: Design = Design { alpha: 0.05, aimed_at: 100 };

    /// Texts differ in length, and each answer is now and then late.
    fn pair(random: &mut SmallRng, slower: f64) -> (f64, f64) {
        let text = random.random_range(300.0..1200.0);
        let mut late = || 1.0 + 0.1 * random.random_range(0.0_f64..1.0).powi(3);
        (text * late(), text * late() * slower)
    }

    #[test]
    fn the_whole_of_alpha_is_spent_and_no_more() {
        let spent: f64 = (0..60).map(|number| look(number).1).sum();
        assert!((0.99..=1.0).contains(&spent), "{spent}");
        assert!((0..60).all(|number| look(number).0 < look(number + 1).0));
    }

    #[test]
    fn cold_pairs_do_not_count() {
        let mut latency = Latency::new(DESIGN);
        (0..5).for_each(|_| latency.push(100.0, 60_000.0));
        (0..100).for_each(|_| latency.push(100.0, 110.0));
        let Percentiles { ratio, candidate, .. } = latency.last().unwrap();
        assert_eq!((candidate, ratio.value), (110.0, 1.1));
        assert!(ratio.low < 1.1 && ratio.high > 1.1 && ratio.high < 1.12, "{ratio:?}");
    }

    #[test]
    fn a_slow_candidate_is_seen_and_a_failed_clock_is_not() {
        let (mut random, mut latency) = (SmallRng::seed_from_u64(1), Latency::new(DESIGN));
        latency.push(f64::NAN, -1.0);
        for _ in 0..150 {
            let (baseline, candidate) = pair(&mut random, 1.5);
            latency.push(baseline, candidate);
        }
        let ratio = latency.last().unwrap().ratio;
        assert!(ratio.low > 1.2 && ratio.high < 1.8, "{ratio:?}");
    }

    /// The share of comparisons in which any look lets the candidate pass.
    fn passes(runs: u32, bound: f64, mut pair: impl FnMut(&mut SmallRng) -> (f64, f64)) -> f64 {
        let mut random = SmallRng::seed_from_u64(7);
        let passed = (0..runs).filter(|_| {
            let mut latency = Latency::new(DESIGN);
            (0..160).any(|_| {
                let (baseline, candidate) = pair(&mut random);
                latency.push(baseline, candidate);
                latency.last().is_some_and(|last| last.ratio.high <= bound)
            })
        });
        f64::from(u32::try_from(passed.count()).unwrap_or(u32::MAX)) / f64::from(runs)
    }

    #[test]
    fn a_rare_slow_tail_is_not_overlooked() {
        let late = |random: &mut SmallRng| if random.random_bool(0.055) { 1000.0 } else { 0.0 };
        let wrong = passes(40, 1.5, |random| {
            let (baseline, candidate) = pair(random, 1.0);
            (baseline.min(500.0), candidate.min(500.0) + late(random))
        });
        assert!(wrong <= 0.025, "{wrong}");
        assert!(passes(20, 1.5, |random| pair(random, 1.0)) >= 0.95);
    }

    #[test]
    fn a_voice_that_stalls_as_often_as_the_other_is_not_refused_and_a_slow_one_is() {
        let mut random = SmallRng::seed_from_u64(9);
        let mut stall = || if random.random_bool(0.06) { 1000.0 } else { 0.0 };
        for _ in 0..10 {
            let mut latency = Latency::new(DESIGN);
            for number in 0..160 {
                let text = 300.0 + f64::from(number % 30) * 10.0;
                latency.push(text + stall(), text + stall());
                assert!(latency.last().is_none_or(|last| last.ratio.low <= 1.2));
            }
        }
        let mut latency = Latency::new(DESIGN);
        for number in 0..110 {
            let text = 300.0 + f64::from(number % 30) * 10.0;
            latency.push(text, text * 1.5);
        }
        assert!(latency.last().unwrap().ratio.low > 1.2);
    }

    #[test]
    fn the_largest_bound_lets_all_pass_and_few_pairs_no_other() {
        let mut latency = Latency::new(Design { alpha: 0.05, aimed_at: 20 });
        (0..30).for_each(|_| latency.push(100.0, 100.0));
        let ratio = latency.last().unwrap().ratio;
        assert!(ratio.high <= 100.0 && ratio.high > 50.0, "{ratio:?}");
    }

    #[test]
    fn the_report_changes_at_planned_looks_only() {
        let mut latency = Latency::new(DESIGN);
        let mut counts = Vec::new();
        for number in 0..400 {
            latency.push(100.0 + f64::from(number), 100.0);
            counts.extend(latency.last().map(|last| last.count));
        }
        counts.dedup();
        assert_eq!(counts, [50, 75, 100, 150, 225, 338]);
    }

    #[test]
    fn equal_models_are_seldom_told_apart_however_often_one_looks() {
        let mut random = SmallRng::seed_from_u64(5);
        let runs = 30;
        let wrong = (0..runs).filter(|_| {
            let mut latency = Latency::new(DESIGN);
            (0..160).any(|_| {
                let (baseline, candidate) = pair(&mut random, 1.0);
                latency.push(baseline, candidate);
                latency.last().is_some_and(|last| last.ratio.low > 1.0 || last.ratio.high < 1.0)
            })
        });
        assert!(wrong.count() <= 2);
    }
}
