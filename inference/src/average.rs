//! What was measured lately.

/// Share of the newest value: the last twenty or so count.
const NEWEST: f64 = 0.1;

/// An exponentially weighted average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Average(f64);

impl Average {
    /// Begins with a guess, which the first measurements correct.
    pub(crate) fn new(guess: f64) -> Self {
        Self(guess)
    }

    /// Takes a measurement; what is no number is none.
    pub(crate) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.0 += NEWEST * (value - self.0);
        }
    }

    pub(crate) fn value(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_measured_and_forgets_the_guess() {
        let mut average = Average::new(1.0);
        for _ in 0..20 {
            average.add(3.0);
        }
        assert!((2.7..3.0).contains(&average.value()), "{average:?}");
        average.add(f64::NAN);
        average.add(f64::INFINITY);
        assert!(average.value().is_finite());
    }
}
