//! The slow-call breaker: when too large a share of calls is slow or fails, no
//! more are made for a while, and then one at a time until one is good again.
//! The rule is Sentinel's for slow calls.

use std::time::{Duration, Instant};

/// Length of the window that calls are counted in.
const WINDOW: Duration = Duration::from_secs(10);
const BUCKETS: usize = 10;

/// When to open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A call whose first audio takes longer is slow.
    pub threshold: Duration,
    /// Share of bad calls that opens the breaker, in percent.
    pub ratio_percent: u32,
    /// Calls in the window below which it never opens.
    pub minimum_calls: u32,
    /// How long it stays open.
    pub recovery: Duration,
}

/// What the breaker says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go ahead.
    Call,
    /// Go ahead alone: what becomes of this call decides.
    Probe,
    /// Leave it, for this long at least.
    Refused(Duration),
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It had audio in time.
    Good,
    /// It was slow, or failed.
    Bad,
    /// Nobody waited for the outcome.
    Unknown,
}

/// Where the breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// One call at a time passes.
    HalfOpen,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    calls: u32,
    bad: u32,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Counts calls and decides. It looks at no clock: the time is handed in.
#[derive(Debug)]
pub struct Breaker {
    phase: Phase,
    buckets: [Bucket; BUCKETS],
    /// When the newest bucket began, and which it is.
    current: (Instant, usize),
}

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Instant) -> Self {
        Self { phase: Phase::Closed, buckets: [Bucket::default(); BUCKETS], current: (now, 0) }
    }

    /// Where it is at this time.
    pub fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { until } if now < until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// What [`Breaker::admit`] would say.
    pub fn peek(&self, now: Instant) -> Admission {
        match self.phase {
            Phase::Closed => Admission::Call,
            Phase::Open { until } if now < until => Admission::Refused(until - now),
            Phase::Open { .. } | Phase::HalfOpen { probing: false } => Admission::Probe,
            // How long the probe takes is not known.
            Phase::HalfOpen { probing: true } => Admission::Refused(Duration::from_secs(1)),
        }
    }

    /// Asks for a call. Whoever is let through reports a verdict.
    pub fn admit(&mut self, now: Instant) -> Admission {
        let admission = self.peek(now);
        if admission == Admission::Probe {
            self.phase = Phase::HalfOpen { probing: true };
        }
        admission
    }

    /// Takes the verdict on a call that was let through; whether it opened the
    /// breaker.
    pub fn report(&mut self, now: Instant, admitted: Admission, verdict: Verdict, rule: &Rule) -> bool {
        match (admitted, verdict) {
            (Admission::Refused(_), _) | (Admission::Call, Verdict::Unknown) => false,
            (Admission::Probe, Verdict::Unknown) => {
                self.phase = Phase::HalfOpen { probing: false };
                false
            }
            (Admission::Probe, Verdict::Good) => {
                *self = Self::new(now);
                false
            }
            (Admission::Probe, Verdict::Bad) => self.open(now, rule),
            (Admission::Call, verdict) => self.count(now, verdict, rule),
        }
    }

    fn count(&mut self, now: Instant, verdict: Verdict, rule: &Rule) -> bool {
        self.advance(now);
        let bucket = &mut self.buckets[self.current.1];
        bucket.calls += 1;
        bucket.bad += u32::from(verdict == Verdict::Bad);
        if !matches!(self.phase, Phase::Closed) {
            // A call from before it opened: counted, but it changes nothing.
            return false;
        }
        let calls: u32 = self.buckets.iter().map(|bucket| bucket.calls).sum();
        let bad: u32 = self.buckets.iter().map(|bucket| bucket.bad).sum();
        if calls < rule.minimum_calls || bad * 100 < calls * rule.ratio_percent {
            return false;
        }
        self.open(now, rule)
    }

    fn open(&mut self, now: Instant, rule: &Rule) -> bool {
        *self = Self { phase: Phase::Open { until: now + rule.recovery }, ..Self::new(now) };
        true
    }

    /// Forgets buckets that have left the window.
    fn advance(&mut self, now: Instant) {
        let length = WINDOW / BUCKETS as u32;
        let passed = now.saturating_duration_since(self.current.0).as_nanos() / length.as_nanos();
        for _ in 0..passed.min(BUCKETS as u128) {
            self.current.1 = (self.current.1 + 1) % BUCKETS;
            self.buckets[self.current.1] = Bucket::default();
        }
        self.current.0 += length * u32::try_from(passed).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        threshold: Duration::from_millis(1500),
        ratio_percent: 50,
        minimum_calls: 4,
        recovery: Duration::from_secs(5),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened(start: Instant) -> Breaker {
        let mut breaker = Breaker::new(start);
        for verdict in [Verdict::Good, Verdict::Bad, Verdict::Good, Verdict::Bad] {
            breaker.report(start, Admission::Call, verdict, &RULE);
        }
        breaker
    }

    #[test]
    fn half_of_the_calls_bad_opens_it_and_fewer_do_not() {
        let start = Instant::now();
        assert_eq!(opened(start).state(start), State::Open);
        let mut breaker = Breaker::new(start);
        for verdict in [Verdict::Good, Verdict::Good, Verdict::Bad, Verdict::Good, Verdict::Bad] {
            assert!(!breaker.report(start, Admission::Call, verdict, &RULE));
        }
        assert_eq!(breaker.admit(start), Admission::Call);
    }

    #[test]
    fn too_few_calls_say_nothing() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        for _ in 0..3 {
            assert!(!breaker.report(start, Admission::Call, Verdict::Bad, &RULE));
        }
        assert!(breaker.report(start, Admission::Call, Verdict::Bad, &RULE));
    }

    #[test]
    fn calls_leave_the_window_with_time() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        for _ in 0..3 {
            breaker.report(start, Admission::Call, Verdict::Bad, &RULE);
        }
        let later = start + seconds(11);
        assert!(!breaker.report(later, Admission::Call, Verdict::Bad, &RULE));
        assert_eq!(breaker.state(later), State::Closed);
    }

    #[test]
    fn after_the_recovery_one_probe_at_a_time_decides() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start + seconds(4)), Admission::Refused(seconds(1)));
        let later = start + seconds(5);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert!(matches!(breaker.admit(later), Admission::Refused(_)));
        assert!(breaker.report(later, Admission::Probe, Verdict::Bad, &RULE));
        assert_eq!(breaker.state(later + seconds(4)), State::Open);

        let again = later + seconds(5);
        assert_eq!(breaker.admit(again), Admission::Probe);
        breaker.report(again, Admission::Probe, Verdict::Good, &RULE);
        assert_eq!(breaker.state(again), State::Closed);
    }

    #[test]
    fn a_probe_that_nobody_waited_for_lets_the_next_one_try() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + seconds(5);
        assert_eq!(breaker.admit(later), Admission::Probe);
        breaker.report(later, Admission::Probe, Verdict::Unknown, &RULE);
        assert_eq!(breaker.admit(later), Admission::Probe);
    }

    #[test]
    fn a_late_call_from_before_changes_nothing() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + seconds(5);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert!(!breaker.report(later, Admission::Call, Verdict::Bad, &RULE));
        assert!(matches!(breaker.admit(later), Admission::Refused(_)));
    }
}
