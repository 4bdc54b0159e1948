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
const RESAMPLES: usize = 2000;
const PERCENTILE: f64 = 0.95;

/// How long both sides take to the same point of their audio, in milliseconds.
///
/// Percentiles have no simple interval that holds at every look. Here α is
/// spent over looks planned beforehand; between two of them the report repeats
/// what the last one saw. Each look's interval comes from a bootstrap that
/// resamples pairs: both sides speak the same texts, so most of what makes one
/// sample slow makes the other slow as well.
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
        let mut resampled = self.pairs.clone();
        let mut ratios: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                resampled
                    .iter_mut()
                    .for_each(|pair| *pair = self.pairs[random.random_range(0..self.pairs.len())]);
                let (baseline, candidate) = percentiles(&mut resampled);
                candidate / baseline
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        let value = candidate / baseline;
        let (low, high) = (quantile(&ratios, alpha / 2.0), quantile(&ratios, 1.0 - alpha / 2.0));
        let ratio = Estimate { value, low: low.min(value / NARROWEST), high: high.max(value * NARROWEST) };
        Percentiles { count: self.pairs.len() as u64, baseline, candidate, ratio }
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
