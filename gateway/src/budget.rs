//! How many retries are allowed: a share of the requests, so that retries
//! cannot multiply a load that is already too high. What some seconds of
//! traffic bring may be saved up, so that a pod may die with all that it had
//! begun. The rule is that of tower's and linkerd's budgets (time to live, least
//! per second, percent); theirs has one share for ever and knows no second
//! attempts, which must leave something to those that have failed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A retry costs this much; each request brings its share in percent.
const RETRY: u64 = 100;
/// What every second brings, so that a fleet with little traffic may retry too.
const LEAST_PER_SECOND: u64 = RETRY;
/// What this many seconds bring can be saved up.
const TTL_SECONDS: usize = 10;

/// The balance.
#[derive(Debug)]
pub struct RetryBudget(Mutex<Balance>);

#[derive(Debug)]
struct Balance {
    saved: u64,
    /// What the requests of each of the last seconds brought.
    brought: [u64; TTL_SECONDS],
    /// Their sum.
    sum: u64,
    /// Place of the newest second, and when it began.
    current: (usize, Instant),
}

impl RetryBudget {
    /// What a fleet without traffic may have saved.
    pub fn new(now: Instant) -> Self {
        let mut balance = Balance { saved: 0, brought: [0; TTL_SECONDS], sum: 0, current: (0, now) };
        balance.saved = balance.most();
        Self(Mutex::new(balance))
    }

    /// Counts a request.
    pub fn deposit(&self, percent: u32, now: Instant) {
        let mut balance = self.balance(now);
        let share = u64::from(percent);
        let (second, _) = balance.current;
        balance.brought[second] += share;
        balance.sum += share;
        balance.save(share);
    }

    /// Asks for a retry.
    pub fn withdraw(&self, now: Instant) -> bool {
        self.balance(now).withdraw_leaving(0)
    }

    /// Asks for a second attempt beside one that may still succeed: it must
    /// leave half to those that have failed.
    pub fn withdraw_spare(&self, now: Instant) -> bool {
        let mut balance = self.balance(now);
        let rest = balance.most() / 2;
        balance.withdraw_leaving(rest)
    }

    /// Gives back what was not used.
    pub fn refund(&self, now: Instant) {
        self.balance(now).save(RETRY);
    }

    fn balance(&self, now: Instant) -> MutexGuard<'_, Balance> {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        balance.advance(now);
        balance
    }
}

impl Balance {
    fn most(&self) -> u64 {
        self.sum.max(LEAST_PER_SECOND * TTL_SECONDS as u64)
    }

    fn save(&mut self, amount: u64) {
        self.saved = self.saved.saturating_add(amount).min(self.most());
    }

    /// Takes note of whole seconds that have passed.
    fn advance(&mut self, now: Instant) {
        let (mut second, since) = self.current;
        let passed = now.saturating_duration_since(since).as_secs();
        if passed == 0 {
            return;
        }
        for _ in 0..passed.min(TTL_SECONDS as u64) {
            second = (second + 1) % TTL_SECONDS;
            self.sum -= std::mem::take(&mut self.brought[second]);
        }
        self.current = (second, since + Duration::from_secs(passed));
        self.save(passed.saturating_mul(LEAST_PER_SECOND));
    }

    fn withdraw_leaving(&mut self, rest: u64) -> bool {
        let allowed = self.saved >= RETRY + rest;
        if allowed {
            self.saved -= RETRY;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(budget: &RetryBudget, now: Instant) -> usize {
        std::iter::repeat_with(|| budget.withdraw(now)).take_while(|allowed| *allowed).count()
    }

    /// So many requests in each of so many seconds; when they end.
    fn traffic(budget: &RetryBudget, from: Instant, seconds: u64, a_second: u64) -> Instant {
        for request in 0..seconds * a_second {
            budget.deposit(20, from + Duration::from_secs(1) * request as u32 / a_second as u32);
        }
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        assert_eq!(saved(&budget, now), 10);
        for _ in 0..50 {
            budget.deposit(20, now);
        }
        assert_eq!(saved(&budget, now), 10, "a fifth of fifty");
    }

    #[test]
    fn what_ten_seconds_of_traffic_bring_can_be_saved_up_and_no_more() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let end = traffic(&budget, start, 60, 200);
        let fifth = 10 * 200 / 5;
        assert!((fifth - 40..=fifth).contains(&saved(&budget, end)), "a fifth of ten seconds' requests");
        assert_eq!(saved(&budget, end), 0);
        let second = traffic(&budget, end, 1, 200);
        assert!((40..=41).contains(&saved(&budget, second)), "and then a fifth of what comes");
    }

    #[test]
    fn what_is_saved_goes_with_the_traffic_that_brought_it() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        let end = traffic(&budget, start, 20, 200);
        assert_eq!(saved(&budget, end + Duration::from_secs(11)), 10);
    }

    #[test]
    fn second_attempts_leave_half_to_those_that_have_failed() {
        let now = Instant::now();
        let budget = RetryBudget::new(now);
        let spare = std::iter::repeat_with(|| budget.withdraw_spare(now)).take_while(|allowed| *allowed);
        assert_eq!(spare.count(), 5);
        assert!(budget.withdraw(now));
        budget.refund(now);
        budget.refund(now);
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
