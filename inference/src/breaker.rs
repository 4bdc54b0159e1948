//! When too much work is waiting, none is taken for a while.

use std::time::{Duration, Instant};

/// Opens when the queue is too deep, and closes by itself. It refuses early
/// what would wait too long, so that whoever asks can go elsewhere at once.
pub(crate) struct QueueBreaker {
    max_depth: usize,
    open_for: Duration,
    opened: Option<Instant>,
}

impl QueueBreaker {
    pub(crate) fn new(max_depth: usize, open_for: Duration) -> Self {
        Self { max_depth, open_for, opened: None }
    }

    /// Judges the queue after one more has joined it, and answers whether that
    /// opened the breaker. Those who were let in before it opened may still
    /// join; they do not prolong it.
    pub(crate) fn joined(&mut self, depth: usize, now: Instant) -> bool {
        let opens = depth > self.max_depth && self.remaining(now).is_none();
        if opens {
            self.opened = Some(now);
        }
        opens
    }

    /// How long it will still be open, if it is.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let left = self.open_for.saturating_sub(now.saturating_duration_since(self.opened?));
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(10);

    #[test]
    fn a_queue_deeper_than_allowed_opens_it_for_its_time() {
        let (mut breaker, start) = (QueueBreaker::new(20, OPEN_FOR), Instant::now());
        assert!(!breaker.joined(20, start));
        assert_eq!(breaker.remaining(start), None);
        assert!(breaker.joined(21, start));
        assert_eq!(breaker.remaining(start), Some(OPEN_FOR));
        let nearly = start + OPEN_FOR - Duration::from_millis(1);
        assert_eq!(breaker.remaining(nearly), Some(Duration::from_millis(1)));
        assert_eq!(breaker.remaining(start + OPEN_FOR), None);
    }

    #[test]
    fn late_joiners_do_not_prolong_it() {
        let (mut breaker, start) = (QueueBreaker::new(0, OPEN_FOR), Instant::now());
        assert!(breaker.joined(1, start));
        assert!(!breaker.joined(2, start + OPEN_FOR / 2));
        assert_eq!(breaker.remaining(start + OPEN_FOR), None);
    }

    #[test]
    fn it_opens_again_if_the_queue_is_still_too_deep() {
        let (mut breaker, start) = (QueueBreaker::new(20, OPEN_FOR), Instant::now());
        assert!(breaker.joined(21, start));
        assert!(breaker.joined(22, start + OPEN_FOR));
        assert_eq!(breaker.remaining(start + OPEN_FOR), Some(OPEN_FOR));
    }
}
