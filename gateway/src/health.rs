//! What health checks and answers say of a pod. Pure: the time is handed in.

use std::time::Instant;

/// Failed checks in a row after which a pod counts as lost.
const FAILURES: u32 = 2;

/// How a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It takes requests.
    Ready,
    /// It takes no new ones, and goes on with what it has begun: it stops, or
    /// changes its model.
    Unready,
    /// It answers nothing: what waits for it waits in vain.
    Lost,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It says that it takes requests.
    Ready,
    /// It says that it does not.
    Unready,
    /// It says nothing.
    NoAnswer,
}

/// How a pod is, and since when.
#[derive(Debug)]
pub(crate) struct Checked {
    health: Health,
    since: Instant,
    failed_in_a_row: u32,
    heard: Option<Instant>,
}

impl Checked {
    /// Taken to be ready until something else is heard of it.
    pub(crate) fn new(now: Instant) -> Self {
        Self { health: Health::Ready, since: now, failed_in_a_row: 0, heard: None }
    }

    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// Failed checks in a row.
    pub(crate) fn failed_in_a_row(&self) -> u32 {
        self.failed_in_a_row
    }

    /// When a call was last answered.
    pub(crate) fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Takes the outcome of a check that began then; whether the pod is lost by
    /// it. A pod that has answered callers meanwhile has not stopped answering.
    pub(crate) fn checked(&mut self, check: Check, begun: Instant, now: Instant) -> bool {
        match check {
            Check::Ready => self.becomes(Health::Ready, 0, now),
            Check::Unready => self.becomes(Health::Unready, 0, now),
            Check::NoAnswer if self.heard.is_some_and(|heard| heard >= begun) => false,
            Check::NoAnswer if self.failed_in_a_row + 1 < FAILURES => {
                self.failed_in_a_row += 1;
                false
            }
            Check::NoAnswer => self.becomes(Health::Lost, self.failed_in_a_row.saturating_add(1), now),
        }
    }

    /// It does not even accept a connection, which was tried from then on:
    /// no need for a second check. Whether the pod is lost by it.
    pub(crate) fn unreachable(&mut self, begun: Instant, now: Instant) -> bool {
        self.failed_in_a_row = self.failed_in_a_row.max(FAILURES - 1);
        self.checked(Check::NoAnswer, begun, now)
    }

    /// It answered a call that was sent then. One sent since it was found
    /// wanting tells more than the checks: they may be at fault.
    pub(crate) fn answered(&mut self, sent: Instant, now: Instant) {
        self.heard = Some(now);
        if self.health != Health::Ready && sent > self.since {
            self.becomes(Health::Ready, 0, now);
        }
    }

    /// It has refused a call as one that takes none.
    pub(crate) fn declared_unready(&mut self, now: Instant) {
        self.heard = Some(now);
        self.becomes(Health::Unready, 0, now);
    }

    /// Whether it is lost and was not before.
    fn becomes(&mut self, health: Health, failed_in_a_row: u32, now: Instant) -> bool {
        self.failed_in_a_row = failed_in_a_row;
        let changes = self.health != health;
        if changes {
            (self.health, self.since) = (health, now);
        }
        changes && health == Health::Lost
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_pod_that_says_that_it_is_not_ready_is_not_lost_however_long() {
        let now = Instant::now();
        let mut pod = Checked::new(now);
        for _ in 0..10 {
            assert!(!pod.checked(Check::Unready, now, now));
            assert_eq!(pod.health(), Health::Unready);
        }
        pod.checked(Check::Ready, now, now);
        assert_eq!(pod.health(), Health::Ready);
    }

    #[test]
    fn two_checks_without_an_answer_tell_once_that_it_is_lost() {
        let now = Instant::now();
        for before in [Check::Ready, Check::Unready] {
            let mut pod = Checked::new(now);
            pod.checked(before, now, now);
            let lost = [(); 4].map(|()| pod.checked(Check::NoAnswer, now, now));
            assert_eq!((lost, pod.health()), ([false, true, false, false], Health::Lost));
        }
    }

    #[test]
    fn a_pod_that_answers_callers_is_not_lost_because_its_checks_fail() {
        let now = Instant::now();
        let mut pod = Checked::new(now);
        for _ in 0..4 {
            pod.answered(now, now + MOMENT);
            assert!(!pod.checked(Check::NoAnswer, now, now + MOMENT));
            assert!(!pod.unreachable(now, now + MOMENT));
        }
        assert!(pod.unreachable(now + 2 * MOMENT, now + 2 * MOMENT));
    }

    #[test]
    fn an_answer_to_a_new_call_tells_more_than_the_checks_and_one_to_an_old_call_does_not() {
        let now = Instant::now();
        for check in [Check::Unready, Check::NoAnswer] {
            let mut pod = Checked::new(now - MOMENT);
            (0..FAILURES).for_each(|_| _ = pod.checked(check, now, now));
            let wanting = pod.health();
            pod.answered(now - MOMENT, now);
            assert_eq!(pod.health(), wanting);
            pod.answered(now + MOMENT, now + MOMENT);
            assert_eq!(pod.health(), Health::Ready);
        }
    }
}
