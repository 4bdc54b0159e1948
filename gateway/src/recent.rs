//! How long a pool's answers took to begin of late, which tells when one is
//! late enough to ask a second pod.

use std::time::{Duration, Instant};

/// Answers remembered.
const MOST: usize = 64;
/// For how long.
const WINDOW: Duration = Duration::from_secs(10);
/// Answers below which nothing can be said.
const FEWEST: usize = 5;
/// The share that is usual, in percent; those beyond it are late.
const USUAL_PERCENT: usize = 95;

/// The last answers' times to first audio.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    times: Vec<(Instant, Duration)>,
    next: usize,
}

impl Recent {
    /// Takes the time of an answer.
    pub(crate) fn add(&mut self, now: Instant, took: Duration) {
        if self.times.len() < MOST {
            self.times.push((now, took));
        } else {
            self.times[self.next] = (now, took);
        }
        self.next = (self.next + 1) % MOST;
    }

    /// How long all but the late ones took, if there were enough.
    pub(crate) fn usual(&self, now: Instant) -> Option<Duration> {
        let young = |(when, _): &&(Instant, Duration)| now.saturating_duration_since(*when) <= WINDOW;
        let mut times: Vec<Duration> = self.times.iter().filter(young).map(|(_, took)| *took).collect();
        if times.len() < FEWEST {
            return None;
        }
        let place = (times.len() * USUAL_PERCENT).div_ceil(100) - 1;
        Some(*times.select_nth_unstable(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn all_but_the_latest_are_usual() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        for number in 1..=4 {
            recent.add(now, milliseconds(number));
            assert_eq!(recent.usual(now), None, "too few to tell");
        }
        for number in 5..=20 {
            recent.add(now, milliseconds(number));
        }
        assert_eq!(recent.usual(now), Some(milliseconds(19)));
    }

    #[test]
    fn what_was_long_ago_no_longer_counts() {
        let (mut recent, now) = (Recent::default(), Instant::now());
        (0..200).for_each(|_| recent.add(now, milliseconds(900)));
        let later = now + WINDOW + milliseconds(1);
        assert_eq!(recent.usual(later), None);
        (0..FEWEST).for_each(|_| recent.add(later, milliseconds(100)));
        assert_eq!(recent.usual(later), Some(milliseconds(100)));
    }
}
