//! A mean of bounded values that is looked at again and again.

use std::collections::BTreeMap;

use super::{Design, Estimate};

/// Bets, as shares of the largest that cannot lose all, and how much of the
/// stake each has. Most lies on the largest: while nothing goes wrong it gains
/// most, and that a few texts in a hundred are spoiled can only be ruled out by
/// many that are not.
const BETS: [(f64, f64); 5] = [(0.98, 0.7), (0.5, 0.15), (0.2, 0.08), (0.06, 0.05), (0.02, 0.02)];
/// Values are kept to this part of their range, and equal ones counted, so that
/// memory is bounded however many there are.
const STEPS: f64 = 20_000.0;
/// Halvings of the range until an end is known.
const HALVINGS: u32 = 22;

/// Mean of values between two ends, with an interval that holds at every look,
/// for any number of values and whatever their distribution: a mixture of bets
/// (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
/// betting"). Against each conceivable mean stands a gambler whose capital would
/// not grow if it were the true one; by Ville's inequality it ever reaches 2 / α
/// with probability α / 2 at most, and where it does the mean is ruled out.
#[derive(Debug, Clone)]
pub struct Mean {
    range: (f64, f64),
    count: u64,
    /// How often each value came, in steps above the lower end.
    values: BTreeMap<u32, u64>,
}

impl Mean {
    /// Of nothing yet. Values beyond the ends of the range are moved there.
    pub fn new(range: (f64, f64)) -> Self {
        Self { range, count: 0, values: BTreeMap::new() }
    }

    /// Takes a value.
    pub fn push(&mut self, value: f64) {
        let (low, high) = self.range;
        let share = (value.clamp(low, high) - low) / (high - low);
        self.count += 1;
        *self.values.entry((share * STEPS).round() as u32).or_default() += 1;
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean and its interval; without any, the middle and the whole range.
    pub fn estimate(&self, design: Design) -> Estimate {
        let shares = || self.values.iter().map(|(step, times)| (f64::from(*step) / STEPS, *times as f64));
        let upside_down: Vec<_> = shares().map(|(share, times)| (1.0 - share, times)).collect();
        let shares: Vec<_> = shares().collect();
        let sum: f64 = shares.iter().map(|(share, times)| share * times).sum();
        let mean = if self.count == 0 { 0.5 } else { sum / self.count as f64 };
        let (low, high) = self.range;
        let place = |share: f64| low + share * (high - low);
        Estimate {
            value: place(mean),
            low: place(lower_end(&shares, mean, design.alpha)),
            high: place(1.0 - lower_end(&upside_down, 1.0 - mean, design.alpha)),
        }
    }
}

/// The least mean of values in 0..1 that is not ruled out as too small. The
/// capital falls as the mean grows, and at the measured one is below its start.
fn lower_end(values: &[(f64, f64)], measured: f64, alpha: f64) -> f64 {
    let (mut ruled_out, mut possible) = (0.0, measured);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(ruled_out, possible);
        if log_capital(values, middle) >= (2.0 / alpha).ln() { ruled_out = middle } else { possible = middle }
    }
    ruled_out
}

/// Logarithm of what a gambler has who bets that the mean is above `mean`.
fn log_capital(values: &[(f64, f64)], mean: f64) -> f64 {
    if mean <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let capitals = BETS.map(|(bet, stake)| stake.ln() + log_gain(values, mean, bet));
    let most = capitals.into_iter().fold(f64::NEG_INFINITY, f64::max);
    most + capitals.iter().map(|capital| (capital - most).exp()).sum::<f64>().ln()
}

/// Logarithm of what one bet makes of a stake. Most values come once: they are
/// multiplied, and one logarithm is taken of many.
fn log_gain(values: &[(f64, f64)], mean: f64, bet: f64) -> f64 {
    let (mut logarithm, mut product) = (0.0, 1.0_f64);
    for (value, times) in values {
        let factor = 1.0 + bet * (value / mean - 1.0);
        if *times > 1.0 {
            logarithm += times * factor.ln();
        } else {
            product *= factor;
        }
        if !(1e-100..1e100).contains(&product) {
            logarithm += product.ln();
            product = 1.0;
        }
    }
    logarithm + product.ln()
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use rstest::rstest;

    use super::*;

    const DESIGN: Design = Design { alpha: 0.05, aimed_at: 100 };
    const DIFFERENCES: (f64, f64) = (-1.0, 1.0);

    fn seen(values: &[(u64, f64)]) -> Estimate {
        let mut mean = Mean::new(DIFFERENCES);
        for (times, value) in values {
            (0..*times).for_each(|_| mean.push(*value));
        }
        mean.estimate(DESIGN)
    }

    #[rstest]
    #[case::nothing(&[], -1.0, 1.0)]
    #[case::one(&[(1, 0.0)], -0.980, 0.980)]
    // 0.7 (1 + 0.98 m / (1 − m))¹⁰⁰ = 40.
    #[case::hundred_alike(&[(100, 0.0)], -0.0404, 0.0404)]
    #[case::thousand_alike(&[(1000, 0.0)], -0.0041, 0.0041)]
    #[case::all_of_the_candidates_are_spoiled(&[(10, 1.0)], 0.331, 1.0)]
    #[case::all_of_the_stable_ones_are(&[(10, -1.0)], -1.0, -0.331)]
    fn intervals_are_as_they_should_be(#[case] values: &[(u64, f64)], #[case] low: f64, #[case] high: f64) {
        let estimate = seen(values);
        assert!((estimate.low - low).abs() < 0.001, "{estimate:?}");
        assert!((estimate.high - high).abs() < 0.001, "{estimate:?}");
    }

    #[test]
    fn intervals_shrink_and_hold_their_mean() {
        let widths: Vec<f64> = [20, 50, 200, 1000]
            .map(|times| {
                let Estimate { value, low, high } = seen(&[(times, 0.1), (times, -0.06)]);
                assert!((value - 0.02).abs() < 1e-9 && low < 0.02 && high > 0.02);
                high - low
            })
            .to_vec();
        assert!(widths.is_sorted_by(|wider, narrower| wider > narrower), "{widths:?}");
    }

    #[test]
    fn outliers_are_moved_into_the_range_and_memory_is_bounded() {
        let mut mean = Mean::new((0.0, 2.0));
        mean.push(1e9);
        assert_eq!((mean.count(), mean.estimate(DESIGN).value), (1, 2.0));
        let mut random = SmallRng::seed_from_u64(1);
        (0..100_000).for_each(|_| mean.push(random.random_range(0.0..2.0)));
        assert!(mean.values.len() <= STEPS as usize + 1);
    }

    /// The share of comparisons that at any look from the tenth on let a
    /// candidate pass whose true difference is beyond the bound: the worst that
    /// any `minSamples` from 10 to the number of looks can come to.
    fn promoted_wrongly(looks: u32, bound: f64, mut difference: impl FnMut(&mut SmallRng) -> f64) -> f64 {
        let mut random = SmallRng::seed_from_u64(1);
        let runs = 200;
        let wrong = (0..runs).filter(|_| {
            let (mut mean, mut sum) = (Mean::new(DIFFERENCES), 0.0);
            (1..=looks).any(|look| {
                let sample = difference(&mut random);
                mean.push(sample);
                sum += sample;
                // An interval holds its mean: no need to look where that is beyond.
                look >= 10 && sum <= bound * f64::from(look) && mean.estimate(DESIGN).high <= bound
            })
        });
        wrong.count() as f64 / f64::from(runs)
    }

    #[rstest]
    #[case(0.0201)]
    #[case(0.025)]
    #[case(0.03)]
    #[case(0.04)]
    #[case(0.05)]
    fn a_candidate_that_garbles_a_few_texts_wholly_is_seldom_let_through(#[case] share: f64) {
        let wrong = promoted_wrongly(300, 0.02, |random| f64::from(random.random_bool(share)));
        assert!(wrong <= DESIGN.alpha / 2.0, "{wrong}");
    }

    #[test]
    fn nor_is_one_that_is_better_in_most_texts_and_garbles_the_rest() {
        // 0.93 · −0.04 + 0.07 · 0.85 = 0.0223.
        let wrong = promoted_wrongly(250, 0.02, |random| if random.random_bool(0.07) { 0.85 } else { -0.04 });
        assert!(wrong <= DESIGN.alpha / 2.0, "{wrong}");
    }

    #[test]
    fn equal_models_pass_and_worse_ones_are_refused_within_the_default_number_of_pairs() {
        let mut random = SmallRng::seed_from_u64(2);
        let (mut equal, mut worse) = (Mean::new(DIFFERENCES), Mean::new(DIFFERENCES));
        for _ in 0..300 {
            let noise = if random.random_bool(0.5) { random.random_range(-0.1..0.1) } else { 0.0 };
            equal.push(noise);
            worse.push(noise + 0.05);
        }
        let (equal, worse) = (equal.estimate(DESIGN), worse.estimate(DESIGN));
        assert!(equal.high < 0.02, "{equal:?}");
        assert!(worse.low > 0.02, "{worse:?}");
    }

    #[test]
    fn equal_models_are_seldom_told_apart_however_often_one_looks() {
        let kinds: [fn(&mut SmallRng) -> f64; 3] = [
            |random| random.random_range(-0.3..0.3),
            |random| if random.random_bool(0.2) { random.random_range(-0.3..0.3) } else { 0.0 },
            |random| f64::from(random.random_bool(0.1)) - f64::from(random.random_bool(0.1)),
        ];
        for kind in kinds {
            let mut random = SmallRng::seed_from_u64(3);
            let runs = 40;
            let wrong = (0..runs).filter(|_| {
                let mut mean = Mean::new(DIFFERENCES);
                (0..60).any(|_| {
                    mean.push(kind(&mut random));
                    let Estimate { low, high, .. } = mean.estimate(DESIGN);
                    low > 0.0 || high < 0.0
                })
            });
            assert!(wrong.count() as f64 / f64::from(runs) <= DESIGN.alpha);
        }
    }
}
