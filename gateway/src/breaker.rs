//! The slow-call breaker: when too large a share of calls is slow or fails, no
//! more are made for a while, and then one at a time until one is good again.
//! The rule is Sentinel's for slow calls. Whoever relapses is left alone for
//! twice as long each time, as linkerd's and Envoy's ejections are.

use std::time::{Duration, Instant};

use rand::Rng;

/// Length of the window that calls are counted in. As long a time without
/// relapse takes back one doubling.
const WINDOW: Duration = Duration::from_secs(10);
const BUCKETS: usize = 10;

/// When to open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A call whose first audio takes longer is slow.
    pub threshold: Duration,
    /// Share of bad calls that opens the breaker, in percent.
    pub ratio_percent: u32,
    /// Calls in the window below which the share never opens it. As many bad
    /// ones in a row do, however far apart.
    pub minimum_calls: u32,
    /// How long it stays open.
    pub recovery: Duration,
    /// How long at most, when it opens again and again.
    pub longest_recovery: Duration,
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

/// Whether there is anything else to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resort {
    /// There is.
    First,
    /// There is not, so that the rule's recovery is waited for and no more.
    Last,
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
    Closed {
        since: Instant,
    },
    Open {
        until: Instant,
        /// When it ends for those that have nothing else to call.
        at_need: Instant,
        /// Whether a call is under way that decides.
        probing: bool,
    },
}

/// Counts calls and decides. It looks at no clock: the time is handed in.
#[derive(Debug)]
pub struct Breaker {
    phase: Phase,
    buckets: [Bucket; BUCKETS],
    /// When the newest bucket began, and which it is.
    current: (Instant, usize),
    bad_in_a_row: u32,
    /// Openings that a good time has not made up for.
    openings: u32,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Closed { since: now },
            buckets: [Bucket::default(); BUCKETS],
            current: (now, 0),
            bad_in_a_row: 0,
            openings: 0,
        }
    }

    /// Where it is at this time.
    pub fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until, probing: false, .. } if now < until => State::Open,
            Phase::Open { .. } => State::HalfOpen,
        }
    }

    /// What [`Breaker::admit`] would say.
    pub fn peek(&self, now: Instant, resort: Resort) -> Admission {
        match self.phase {
            Phase::Closed { .. } => Admission::Call,
            // How long the probe takes is not known.
            Phase::Open { probing: true, .. } => Admission::Refused(Duration::from_secs(1)),
            Phase::Open { until, at_need, .. } => {
                let until = if resort == Resort::Last { at_need } else { until };
                if now < until { Admission::Refused(until - now) } else { Admission::Probe }
            }
        }
    }

    /// Asks for a call. Whoever is let through reports a verdict.
    pub fn admit(&mut self, now: Instant, resort: Resort) -> Admission {
        let admission = self.peek(now, resort);
        self.set_probing(admission, true);
        admission
    }

    /// Takes back an admission of which nothing came.
    pub fn give_back(&mut self, admitted: Admission) {
        self.set_probing(admitted, false);
    }

    fn set_probing(&mut self, admitted: Admission, is_probing: bool) {
        if let (Admission::Probe, Phase::Open { probing, .. }) = (admitted, &mut self.phase) {
            *probing = is_probing;
        }
    }

    /// Takes the verdict on a call that was let through; for how long that
    /// opened the breaker, if it did.
    pub fn report(
        &mut self,
        now: Instant,
        admitted: Admission,
        verdict: Verdict,
        rule: &Rule,
        random: &mut impl Rng,
    ) -> Option<Duration> {
        match (admitted, verdict) {
            (Admission::Refused(_), _) => None,
            (_, Verdict::Unknown) => {
                self.give_back(admitted);
                None
            }
            (Admission::Probe, Verdict::Good) => {
                *self = Self { openings: self.openings, ..Self::new(now) };
                None
            }
            (Admission::Probe, Verdict::Bad) => Some(self.open(now, rule, random)),
            (Admission::Call, verdict) => {
                self.count(now, verdict, rule).then(|| self.open(now, rule, random))
            }
        }
    }

    /// Counts a call; whether it is one too many that is bad.
    fn count(&mut self, now: Instant, verdict: Verdict, rule: &Rule) -> bool {
        self.advance(now);
        let is_bad = verdict == Verdict::Bad;
        let bucket = &mut self.buckets[self.current.1];
        bucket.calls += 1;
        bucket.bad += u32::from(is_bad);
        self.bad_in_a_row = if is_bad { self.bad_in_a_row + 1 } else { 0 };
        if !matches!(self.phase, Phase::Closed { .. }) {
            // A call from before it opened: counted, but it changes nothing.
            return false;
        }
        let calls: u32 = self.buckets.iter().map(|bucket| bucket.calls).sum();
        let bad: u32 = self.buckets.iter().map(|bucket| bucket.bad).sum();
        let too_many = calls >= rule.minimum_calls && bad * 100 >= calls * rule.ratio_percent;
        too_many || self.bad_in_a_row >= rule.minimum_calls
    }

    fn open(&mut self, now: Instant, rule: &Rule, random: &mut impl Rng) -> Duration {
        let made_up_for = match self.phase {
            Phase::Closed { since } => now.saturating_duration_since(since).as_secs() / WINDOW.as_secs(),
            Phase::Open { .. } => 0,
        };
        let relapses = self.openings.saturating_sub(u32::try_from(made_up_for).unwrap_or(u32::MAX));
        let open_for = recovery(rule, relapses, random);
        let phase = Phase::Open { until: now + open_for, at_need: now + rule.recovery, probing: false };
        *self = Self { phase, openings: relapses + 1, ..Self::new(now) };
        open_for
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

/// How long to leave alone one that has relapsed so often: the rule's time at
/// first, then doubled each time. What opened at once must not be tried at once
/// by everybody, so that up to a quarter is left off at random.
fn recovery(rule: &Rule, relapses: u32, random: &mut impl Rng) -> Duration {
    let doubled = rule.recovery.saturating_mul(2u32.saturating_pow(relapses));
    let longest = doubled.min(rule.longest_recovery.max(rule.recovery));
    if longest == rule.recovery {
        return rule.recovery;
    }
    random.random_range(longest * 3 / 4..=longest)
}

#[cfg(test)]
mod tests;
