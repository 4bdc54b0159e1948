//! When too much work is waiting, none is taken until half of it is done.

use std::time::{Duration, Instant};

/// Opens when the queue is too deep, and closes when it has drained to half, or
/// by itself after a while. It refuses early what would wait too long, so that
/// whoever asks can go elsewhere at once; while it is open the threads have
/// the other half to work on, so that none of them is idle.
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

    /// Judges the queue after one has left it.
    pub(crate) fn left(&mut self, depth: usize) {
        if depth <= self.half() {
            self.opened = None;
        }
    }

    /// The depth at which it closes.
    pub(crate) fn half(&self) -> usize {
        self.max_depth / 2
    }

    /// How long it will still be open at most, if it is.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        let left = self.open_for.saturating_sub(now.saturating_duration_since(self.opened?));
        (!left.is_zero()).then_some(left)
    }

    /// In how many seconds to come back, if it is open: when the queue is
    /// expected to have drained, given from one thread that comes free to the next,
    /// which is how long a thread is taken by a request over their number.
    pub(crate) fn retry_after(&self, depth: usize, interval: Duration, now: Instant) -> Option<u32> {
        let left = self.remaining(now)?;
        let to_drain = depth.saturating_sub(self.half()) as f64;
        let drain = to_drain * interval.as_secs_f64();
        let seconds = drain.min(left.as_secs_f64()).ceil().max(1.0);
        Some(seconds as u32)
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
    fn it_closes_as_soon_as_the_queue_has_drained_to_half() {
        let (mut breaker, start) = (QueueBreaker::new(20, OPEN_FOR), Instant::now());
        breaker.joined(21, start);
        for depth in (11..=20).rev() {
            breaker.left(depth);
            assert!(breaker.remaining(start).is_some(), "{depth} wait");
        }
        breaker.left(10);
        assert_eq!(breaker.remaining(start), None);
        assert!(!breaker.joined(11, start));
        assert!(breaker.joined(21, start), "and opens again when there is reason to");
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

    #[test]
    fn those_refused_are_told_when_it_will_have_drained() {
        let (mut breaker, start) = (QueueBreaker::new(20, OPEN_FOR), Instant::now());
        let told = |breaker: &QueueBreaker, depth, milliseconds, now| {
            breaker.retry_after(depth, Duration::from_millis(milliseconds) / 2, now)
        };
        assert_eq!(told(&breaker, 21, 500, start), None);
        breaker.joined(21, start);
        assert_eq!(told(&breaker, 21, 50, start), Some(1), "half a second is told as one");
        assert_eq!(told(&breaker, 21, 500, start), Some(3), "eleven, two at a time");
        assert_eq!(told(&breaker, 21, 60_000, start), Some(10), "by then it is closed");
        assert_eq!(told(&breaker, 21, 60_000, start + Duration::from_secs(8)), Some(2));
        assert_eq!(told(&breaker, 11, 500, start), Some(1));
    }
}
