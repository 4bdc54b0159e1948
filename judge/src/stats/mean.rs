//! A mean that is looked at again and again.

use super::{Design, Estimate};

/// Samples before an interval is narrower than the whole range: the theory is
/// one of large numbers.
const FEWEST: u64 = 20;
/// How many samples of the [`Prior`]'s spread are taken to have been seen.
const PRIOR_WEIGHT: f64 = 5.0;

/// What is known of a quantity before it is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Smallest and largest value a sample can have; others are moved there.
    pub range: (f64, f64),
    /// A spread that would be no surprise. A few samples of it are added to the
    /// measured ones, so that equal samples do not make an interval of no width.
    pub spread: f64,
}

/// Mean of a stream of values (Welford), with an asymptotic confidence sequence.
#[derive(Debug, Clone, Copy)]
pub struct Mean {
    prior: Prior,
    count: u64,
    mean: f64,
    squares: f64,
}

impl Mean {
    /// Of nothing yet.
    pub fn new(prior: Prior) -> Self {
        Self { prior, count: 0, mean: 0.0, squares: 0.0 }
    }

    /// Takes a sample.
    pub fn push(&mut self, sample: f64) {
        let (low, high) = self.prior.range;
        let sample = sample.clamp(low, high);
        self.count += 1;
        let from_old = sample - self.mean;
        self.mean += from_old / self.count as f64;
        self.squares += from_old * (sample - self.mean);
    }

    /// How many samples there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 without any.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Mean and interval. Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
    /// "Time-uniform central limit theory and asymptotic confidence sequences":
    /// after t samples of spread σ, with ρ chosen for the samples aimed at,
    /// `mean ± σ √(2 (tρ² + 1) / (t²ρ²) · ln(√(tρ² + 1) / α))`.
    pub fn estimate(&self, design: Design) -> Estimate {
        let (low, high) = self.prior.range;
        if self.count < FEWEST.min(design.aimed_at) {
            return Estimate { value: self.mean, low, high };
        }
        let t = self.count as f64;
        let surprise = -2.0 * design.alpha.ln();
        let rho_squared = (surprise + (surprise + 1.0).ln()) / design.aimed_at as f64;
        let grown = t * rho_squared + 1.0;
        let factor = 2.0 * grown / (t * t * rho_squared) * (grown.sqrt() / design.alpha).ln();
        let width = self.variance().sqrt() * factor.sqrt();
        let end = |value: f64| value.clamp(low, high);
        Estimate { value: self.mean, low: end(self.mean - width), high: end(self.mean + width) }
    }

    /// More than the measured one by what the prior adds, and never less.
    fn variance(&self) -> f64 {
        (self.squares + PRIOR_WEIGHT * self.prior.spread.powi(2)) / (self.count - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    const PRIOR: Prior = Prior { range: (-1.0, 1.0), spread: 0.1 };
    const DESIGN: Design = Design { alpha: 0.05, aimed_at: 100 };

    fn width(samples: u64, aimed_at: u64) -> f64 {
        let mut mean = Mean::new(PRIOR);
        for number in 0..samples {
            mean.push(if number % 2 == 0 { 0.1 } else { -0.1 });
        }
        let Estimate { low, high, .. } = mean.estimate(Design { aimed_at, ..DESIGN });
        high - low
    }

    #[test]
    fn it_is_the_formula_of_the_paper() {
        let mut mean = Mean::new(Prior { spread: 0.0, ..PRIOR });
        for number in 0..100 {
            mean.push(if number % 2 == 0 { 0.1 } else { -0.1 });
        }
        // σ² = 100 · 0.01 / 99, ρ² = (−2 ln α + ln(1 − 2 ln α)) / 100 = 0.079366,
        // factor = √(2 · 8.9366 / 793.66 · ln(√8.9366 / 0.05)) = 0.30352.
        let Estimate { value, low, high } = mean.estimate(DESIGN);
        assert!(value.abs() < 1e-12);
        assert!((high - 0.30352 * (1.0_f64 / 99.0).sqrt()).abs() < 1e-5, "{high}");
        assert!((low + high).abs() < 1e-12);
    }

    #[test]
    fn equal_samples_still_leave_doubt_and_few_leave_all() {
        let mut mean = Mean::new(PRIOR);
        for samples in 1..=100_u32 {
            mean.push(0.0);
            let Estimate { low, high, .. } = mean.estimate(DESIGN);
            if samples < 20 {
                assert_eq!((low, high), (-1.0, 1.0));
            } else {
                assert!(low < 0.0 && high > 0.0, "{samples}: {low} to {high}");
            }
        }
        let Estimate { high, .. } = mean.estimate(DESIGN);
        assert!(high < 0.012, "{high}");
    }

    #[test]
    fn intervals_shrink_and_are_tightest_where_they_should_be() {
        assert!(width(100, 100) > width(200, 100));
        for other in [20, 500] {
            assert!(width(100, 100) < width(100, other), "{other}");
        }
    }

    #[test]
    fn outliers_are_moved_into_the_range() {
        let mut mean = Mean::new(PRIOR);
        mean.push(1e9);
        assert_eq!((mean.count(), mean.mean()), (1, 1.0));
    }

    /// How often an interval ever excludes the true mean 0, over 1,000 looks.
    fn ever_wrong(mut sample: impl FnMut(&mut SmallRng) -> f64) -> f64 {
        let mut random = SmallRng::seed_from_u64(1);
        let runs = 1000;
        let wrong = (0..runs).filter(|_| {
            let mut mean = Mean::new(PRIOR);
            (0..1000).any(|_| {
                mean.push(sample(&mut random));
                let Estimate { low, high, .. } = mean.estimate(DESIGN);
                low > 0.0 || high < 0.0
            })
        });
        wrong.count() as f64 / f64::from(runs)
    }

    #[test]
    fn equal_models_are_seldom_told_apart_however_often_one_looks() {
        let wide = ever_wrong(|random| random.random_range(-0.3..0.3));
        // Most pairs are heard alike, a few are not: as character error rates are.
        let rare =
            ever_wrong(|random| if random.random_bool(0.2) { random.random_range(-0.3..0.3) } else { 0.0 });
        let narrow = ever_wrong(|random| random.random_range(-0.01..0.01));
        for share in [wide, rare, narrow] {
            assert!(share <= DESIGN.alpha, "{wide} {rare} {narrow}");
        }
    }
}
