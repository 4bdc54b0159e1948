//! Two shares of failures, compared in pairs.

use super::{Design, Estimate};

/// Bets, as shares of the largest that cannot lose all, and how much of the
/// stake each has. Half lies on the largest: it gains most while nothing fails.
const BETS: [(f64, f64); 6] = [(0.98, 0.5), (0.5, 0.1), (0.25, 0.1), (0.1, 0.1), (0.04, 0.1), (0.015, 0.1)];
/// Halvings of −1..1 until an end is known: to 2⁻⁴⁰.
const HALVINGS: u32 = 41;

/// Failures of both sides. The interval of their difference holds at every look
/// and for any number of pairs, also while nothing has failed: a mixture of
/// bets (Waudby-Smith and Ramdas, "Estimating means of bounded random variables
/// by betting"). Against each conceivable difference stands a gambler whose
/// capital would not grow if it were the true one; by Ville's inequality it
/// reaches 2 / α with probability α / 2 at most, and where it does the
/// difference is ruled out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shares {
    count: u64,
    baseline: u64,
    candidate: u64,
    only_baseline: u64,
    only_candidate: u64,
}

impl Shares {
    /// Takes a pair: whether each side failed.
    pub fn push(&mut self, baseline: bool, candidate: bool) {
        self.count += 1;
        self.baseline += u64::from(baseline);
        self.candidate += u64::from(candidate);
        self.only_baseline += u64::from(baseline && !candidate);
        self.only_candidate += u64::from(candidate && !baseline);
    }

    /// How many pairs there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Share of the stable model's that failed; 0 without any pair.
    pub fn baseline(&self) -> f64 {
        self.share(self.baseline as f64)
    }

    /// Share of the candidate's that failed; 0 without any pair.
    pub fn candidate(&self) -> f64 {
        self.share(self.candidate as f64)
    }

    /// Difference of the shares, and its interval.
    pub fn estimate(&self, design: Design) -> Estimate {
        let value = self.share(self.only_candidate as f64 - self.only_baseline as f64);
        let mirrored =
            Self { only_baseline: self.only_candidate, only_candidate: self.only_baseline, ..*self };
        let low = self.lower_end(value, design.alpha);
        let high = -mirrored.lower_end(-value, design.alpha);
        Estimate { value, low, high }
    }

    fn share(&self, of: f64) -> f64 {
        if self.count == 0 { 0.0 } else { of / self.count as f64 }
    }

    /// The least difference that is not ruled out as too small. The capital
    /// falls as the difference grows, and at the measured one is below its start.
    fn lower_end(&self, value: f64, alpha: f64) -> f64 {
        let (mut ruled_out, mut possible) = (-1.0, value);
        if self.count == 0 {
            return ruled_out;
        }
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(ruled_out, possible);
            if self.log_capital(middle) >= (2.0 / alpha).ln() {
                ruled_out = middle
            } else {
                possible = middle
            }
        }
        ruled_out
    }

    /// Logarithm of what a gambler has who bets that the difference is above `m`.
    fn log_capital(&self, m: f64) -> f64 {
        let (up, down) = (self.only_candidate as f64, self.only_baseline as f64);
        let level = self.count as f64 - up - down;
        let largest = 1.0 / (1.0 + m);
        let capitals = BETS.map(|(share, stake)| {
            let bet = share * largest;
            let gain = |difference: f64, pairs: f64| {
                if pairs > 0.0 { pairs * (bet * (difference - m)).ln_1p() } else { 0.0 }
            };
            stake.ln() + gain(1.0, up) + gain(0.0, level) + gain(-1.0, down)
        });
        let most = capitals.into_iter().fold(f64::NEG_INFINITY, f64::max);
        most + capitals.iter().map(|capital| (capital - most).exp()).sum::<f64>().ln()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};
    use rstest::rstest;

    use super::*;

    const DESIGN: Design = Design { alpha: 0.05, aimed_at: 100 };

    fn seen(both_well: u64, only_candidate: u64, only_baseline: u64) -> Shares {
        let mut shares = Shares::default();
        for (pairs, baseline, candidate) in
            [(both_well, false, false), (only_candidate, false, true), (only_baseline, true, false)]
        {
            (0..pairs).for_each(|_| shares.push(baseline, candidate));
        }
        shares
    }

    #[rstest]
    #[case::nothing_seen(0, 0, 0, -1.0, 1.0)]
    #[case::one(1, 0, 0, -0.985, 0.985)]
    // (1 + 0.98 m / (1 − m))¹⁰⁰ · ½ ≈ 40.
    #[case::hundred_without_a_failure(100, 0, 0, -0.0435, 0.0435)]
    #[case::thousand_without_a_failure(1000, 0, 0, -0.0045, 0.0045)]
    #[case::all_of_the_candidates_fail(0, 10, 0, 0.2875, 1.0)]
    #[case::all_of_the_stable_ones_fail(0, 0, 10, -1.0, -0.2875)]
    fn intervals_are_as_they_should_be(
        #[case] well: u64,
        #[case] candidate: u64,
        #[case] baseline: u64,
        #[case] low: f64,
        #[case] high: f64,
    ) {
        let estimate = seen(well, candidate, baseline).estimate(DESIGN);
        assert!((estimate.low - low).abs() < 0.001, "{estimate:?}");
        assert!((estimate.high - high).abs() < 0.001, "{estimate:?}");
    }

    #[test]
    fn what_fails_on_both_sides_is_no_difference() {
        let mut shares = Shares::default();
        (0..50).for_each(|_| shares.push(true, true));
        assert_eq!((shares.baseline(), shares.candidate()), (1.0, 1.0));
        let Estimate { value, low, high } = shares.estimate(DESIGN);
        assert!(value == 0.0 && low < 0.0 && high > 0.0);
    }

    #[test]
    fn a_candidate_that_fails_now_and_then_is_found_out() {
        let estimate = seen(80, 20, 0).estimate(DESIGN);
        assert!(estimate.low > 0.08 && estimate.high < 0.4, "{estimate:?}");
    }

    #[test]
    fn equal_models_are_seldom_told_apart_however_often_one_looks() {
        let mut random = SmallRng::seed_from_u64(3);
        for chance in [0.01, 0.1, 0.5] {
            let runs = 120;
            let wrong = (0..runs).filter(|_| {
                let mut shares = Shares::default();
                (0..200).any(|_| {
                    shares.push(random.random_bool(chance), random.random_bool(chance));
                    let Estimate { low, high, .. } = shares.estimate(DESIGN);
                    low > 0.0 || high < 0.0
                })
            });
            let share = wrong.count() as f64 / f64::from(runs);
            assert!(share <= DESIGN.alpha, "{chance}: {share}");
        }
    }
}
