//! How many retries are allowed: a share of the requests, so that retries
//! cannot multiply a load that is already too high.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A retry costs this much; each request brings its share in percent.
const RETRY: u64 = 100;
/// Most that can be saved up: ten retries.
const MOST: u64 = 10 * RETRY;
/// What every second brings, so that a fleet with little traffic may retry too.
const PER_SECOND: u64 = RETRY;

/// The balance.
#[derive(Debug)]
pub struct RetryBudget(Mutex<(u64, Instant)>);

impl RetryBudget {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new((MOST, now)))
    }

    /// Counts a request.
    pub fn deposit(&self, percent: u32) {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        balance.0 = (balance.0 + u64::from(percent)).min(MOST);
    }

    /// Asks for a retry.
    pub fn withdraw(&self, now: Instant) -> bool {
        self.withdraw_leaving(0, now)
    }

    /// Asks for a second attempt beside one that may still succeed: it must
    /// leave enough for those that have failed.
    pub fn withdraw_spare(&self, now: Instant) -> bool {
        self.withdraw_leaving(MOST / 2, now)
    }

    /// Gives back what was not used.
    pub fn refund(&self) {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        balance.0 = (balance.0 + RETRY).min(MOST);
    }

    fn withdraw_leaving(&self, rest: u64, now: Instant) -> bool {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (saved, since) = *balance;
        let seconds = now.saturating_duration_since(since).as_secs();
        let saved = saved.saturating_add(seconds.saturating_mul(PER_SECOND)).min(MOST);
        let allowed = saved >= RETRY + rest;
        let since = since + std::time::Duration::from_secs(seconds);
        *balance = (if allowed { saved - RETRY } else { saved }, since);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let saved = std::iter::repeat_with(|| budget.withdraw(now)).take_while(|allowed| *allowed).count();
        assert_eq!(saved, 10);
        for _ in 0..50 {
            budget.deposit(20);
        }
        let allowed = std::iter::repeat_with(|| budget.withdraw(now)).take_while(|allowed| *allowed).count();
        assert_eq!(allowed, 10, "a fifth of fifty");
    }

    #[test]
    fn second_attempts_leave_half_to_those_that_have_failed() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let spare = std::iter::repeat_with(|| budget.withdraw_spare(now)).take_while(|allowed| *allowed);
        assert_eq!(spare.count(), 5);
        assert!(budget.withdraw(now));
        budget.refund();
        budget.refund();
        assert!(budget.withdraw_spare(now));
    }

    #[test]
    fn a_quiet_fleet_may_retry_once_a_second() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        while budget.withdraw(now) {}
        assert!(!budget.withdraw(now + Duration::from_millis(900)));
        assert!(budget.withdraw(now + Duration::from_millis(1900)));
        assert!(!budget.withdraw(now + Duration::from_millis(1950)));
    }
}
