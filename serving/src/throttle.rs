//! How many lines of one code the log takes: a token bucket for each, so that
//! a storm of one error neither fills a disk nor hides another error.

use std::{collections::HashMap, time::Instant};

/// Lines a second of one code in the long run.
const RATE: f64 = 50.0;
/// Lines of one code at once, after a pause.
const BURST: f64 = 100.0;

/// One bucket for each code. Codes are the catalogue's, so there are few.
#[derive(Default)]
pub(crate) struct Throttle {
    buckets: HashMap<&'static str, Bucket>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
    left_out: u64,
}

impl Throttle {
    /// Whether a line may be written, and if so how many were left out since
    /// the last one of this code; whoever writes it says that number too.
    pub(crate) fn pass(&mut self, code: &'static str, now: Instant) -> Option<u64> {
        let bucket = self.buckets.entry(code).or_insert(Bucket { tokens: BURST, filled: now, left_out: 0 });
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * RATE).min(BURST);
        bucket.filled = bucket.filled.max(now);
        // The line with the number counts as well.
        let lines = if bucket.left_out > 0 { 2.0 } else { 1.0 };
        if bucket.tokens < lines {
            bucket.left_out += 1;
            return None;
        }
        bucket.tokens -= lines;
        Some(std::mem::take(&mut bucket.left_out))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_storm_is_bounded_and_what_is_left_out_is_counted() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let (mut lines, mut left_out) = (0, 0);
        for millisecond in 0..10_000 {
            if let Some(number) = throttle.pass("SystemBusy", start + Duration::from_millis(millisecond)) {
                lines += 1 + u64::from(number > 0);
                left_out += number;
            }
        }
        assert!((590..=600).contains(&lines), "{lines} lines in 10 s");
        let number = throttle.pass("SystemBusy", start + Duration::from_secs(60)).unwrap();
        assert!(left_out + number > 9_000, "{left_out} and {number}");
        assert_eq!(throttle.pass("SystemBusy", start + Duration::from_secs(60)), Some(0));
    }

    #[test]
    fn one_code_does_not_use_up_the_lines_of_another() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let passed = (0..1000).filter(|_| throttle.pass("OK", now).is_some()).count();
        assert_eq!(passed, 100);
        assert_eq!(throttle.pass("InferenceFailed", now), Some(0));
    }
}
