//! How long a thread is waited for, told by how often one came free of late. No
//! clock of its own.

use std::time::{Duration, Instant};

use crate::average::Average;

/// Those who wait for a thread.
pub(crate) struct Line {
    /// Seconds from one that got a thread to the next, while somebody waited.
    interval: Average,
    /// When the last one got a thread, or the first one came to wait; nothing while
    /// nobody waits.
    since: Option<Instant>,
}

impl Line {
    /// Nobody waits; the guess holds until it is known.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval: Average::new(interval.as_secs_f64()), since: None }
    }

    /// Somebody came to wait.
    pub(crate) fn joined(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Somebody has waited and got a thread; whether others still wait.
    pub(crate) fn began(&mut self, others_wait: bool, now: Instant) {
        if let Some(since) = self.since {
            self.interval.add(now.saturating_duration_since(since).as_secs_f64());
        }
        self.since = others_wait.then_some(now);
    }

    /// Nobody waits any more.
    pub(crate) fn emptied(&mut self) {
        self.since = None;
    }

    /// How long a thread would be waited for behind so many: as usual, and for the
    /// next one at least as long as none has come free.
    pub(crate) fn wait(&self, ahead: f64, now: Instant) -> Duration {
        let quiet = self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        let usual = self.interval.value();
        let seconds = ahead * usual + usual.max(quiet);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(200);

    #[test]
    fn it_learns_how_often_threads_come_free_while_somebody_waits() {
        let (mut line, mut now) = (Line::new(Duration::from_secs(5)), Instant::now());
        line.joined(now);
        for _ in 0..100 {
            now += USUAL;
            line.began(true, now);
        }
        let wait = line.wait(4.0, now).as_secs_f64();
        assert!((wait - 1.0).abs() < 0.01, "{wait}");
        line.emptied();
        now += 100 * USUAL;
        line.joined(now);
        assert!(
            (line.wait(0.0, now).as_secs_f64() - 0.2).abs() < 0.01,
            "what nobody waited for tells nothing"
        );
    }

    #[test]
    fn a_thread_that_is_long_in_coming_is_waited_for_as_long_again() {
        let (mut line, now) = (Line::new(USUAL), Instant::now());
        line.joined(now);
        line.joined(now + USUAL);
        assert_eq!(line.wait(0.0, now), USUAL);
        assert_eq!(line.wait(0.0, now + 10 * USUAL), 10 * USUAL);
        assert_eq!(line.wait(1.0, now + 10 * USUAL), 11 * USUAL);
    }
}
