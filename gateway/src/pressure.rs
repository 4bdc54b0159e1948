//! Whether a pool has all it can do. Long texts are then cut, so that they leave
//! room for the others; it takes a while without a sign of it until they are
//! spoken whole again, or the rule would change with every answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{breaker::State, flow::Flow, pool::Pool};

/// For how long a sign of pressure counts.
const LASTS: Duration = Duration::from_secs(5);
/// Part of the time after which a first audio counts as slow that a request may
/// wait for a thread before that is a sign.
const WAIT_PART: u32 = 2;

/// The pools' last signs of pressure, by name.
#[derive(Debug, Default)]
pub struct Pressure(Mutex<HashMap<String, Instant>>);

impl Pressure {
    /// Notes a sign.
    pub(crate) fn sign(&self, pool: &str, now: Instant) {
        let mut signs = self.lock();
        match signs.get_mut(pool) {
            Some(last) => *last = now,
            None => _ = signs.insert(pool.to_owned(), now),
        }
    }

    /// Whether the pool is under pressure, as it is or was not long ago.
    pub(crate) fn is_on(&self, pool: &Pool, now: Instant) -> bool {
        if is_strained(pool, now) {
            self.sign(&pool.name, now);
            return true;
        }
        self.lock().get(&pool.name).is_some_and(|last| now.saturating_duration_since(*last) < LASTS)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request that waited for a thread so long is a sign.
pub(crate) fn is_long_wait(waited: Duration, slow: Duration) -> bool {
    waited * WAIT_PART >= slow
}

fn is_strained(pool: &Pool, now: Instant) -> bool {
    let endpoints = pool.endpoints();
    // What a pod refuses one caller says nothing of its room for others.
    let able = endpoints.iter().filter(|pod| pod.is_able(now) && pod.refusal(Flow::default(), now).is_none());
    pool.state(now) == State::Open || are_too_few(able.count(), endpoints.len())
}

/// Whether half of the pods or more cannot take a request.
fn are_too_few(able: usize, all: usize) -> bool {
    2 * able <= all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::Endpoint, health::Check};

    fn pool_of(pods: u8) -> Pool {
        let pool = Pool::new("main");
        let pod = |number| Endpoint::new(([10, 0, 0, number], 8080).into(), number.to_string());
        pool.set_endpoints((1..=pods).map(pod).collect());
        pool
    }

    #[test]
    fn half_of_the_pods_are_too_few_and_so_are_none() {
        for (able, all, few) in [(0, 0, true), (1, 1, false), (1, 2, true), (2, 3, false), (1, 3, true)] {
            assert_eq!(are_too_few(able, all), few, "{able} of {all}");
        }
    }

    #[test]
    fn a_pool_that_loses_its_pods_is_under_pressure_and_for_a_while_after() {
        let (pressure, pool, now) = (Pressure::default(), pool_of(2), Instant::now());
        assert!(!pressure.is_on(&pool, now));
        pool.endpoints()[0].unreachable(now);
        assert!(pressure.is_on(&pool, now));
        pool.endpoints()[0].checked(Check::Ready, now);
        assert!(pressure.is_on(&pool, now + LASTS / 2));
        assert!(!pressure.is_on(&pool, now + LASTS));
    }

    #[test]
    fn a_sign_counts_for_its_own_pool() {
        let (pressure, pool, now) = (Pressure::default(), pool_of(2), Instant::now());
        pressure.sign("backup", now);
        assert!(!pressure.is_on(&pool, now));
        pressure.sign("main", now);
        assert!(pressure.is_on(&pool, now));
    }

    #[test]
    fn waiting_half_as_long_as_a_slow_answer_is_a_sign() {
        let slow = Duration::from_millis(1500);
        assert!(!is_long_wait(Duration::from_millis(749), slow));
        assert!(is_long_wait(Duration::from_millis(750), slow));
    }
}
