//! How long an interrupted watch pauses before the next try.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// Pauses that double up to a bound.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// Of a watch. The bound is the longest that drift goes unseen after the
    /// API server has come back; one operator with a few watches does not
    /// burden it by asking so often.
    pub(crate) fn of_watch() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(4))
    }

    /// None: for the controller, which would otherwise hold all watches up for
    /// each one's failure, although each pauses by itself.
    pub(crate) fn none() -> Self {
        Self::new(Duration::ZERO, Duration::ZERO)
    }

    fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_start_anew_after_success() {
        let mut pauses = Pauses::of_watch();
        let milliseconds: Vec<u128> = pauses.by_ref().take(7).map(|pause| pause.as_millis()).collect();
        assert_eq!(milliseconds, [200, 400, 800, 1600, 3200, 4000, 4000]);
        pauses.reset();
        assert_eq!(pauses.next(), Some(Duration::from_millis(200)));
    }
}
