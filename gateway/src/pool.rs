//! The pools' pods, and which of them gets the next call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rand::{
    Rng,
    seq::{IteratorRandom, index},
};

use ttsfleet_serving::Failure;

use crate::{
    breaker::{Admission, Breaker, State},
    endpoint::{Call, Endpoint},
    recent::Recent,
    route::Route,
};

/// One pool's pods.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    breaker: Mutex<Breaker>,
    recent: Mutex<Recent>,
}

/// Why a pool has no pod for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCall {
    /// It has no pods, or none that was not tried.
    Empty,
    /// Breakers are open, for this long at least.
    Open(Duration),
    /// All are known to be full, and would answer this.
    Full(Failure),
}

impl Pool {
    /// A pool without pods.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            endpoints: ArcSwap::default(),
            breaker: Mutex::new(Breaker::new(Instant::now())),
            recent: Mutex::default(),
        }
    }

    /// Its pods.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Where its breaker is.
    pub fn state(&self, now: Instant) -> State {
        self.breaker().state(now)
    }

    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how long an answer took to begin.
    pub(crate) fn answered_after(&self, took: Duration) {
        self.recent().add(Instant::now(), took);
    }

    /// How long answers take to begin, but for the late ones, if that is known.
    pub(crate) fn usual_wait(&self) -> Option<Duration> {
        self.recent().usual(Instant::now())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the list of its pods. What is known of those that stay is kept.
    pub fn set_endpoints(&self, fresh: Vec<Endpoint>) {
        let known = self.endpoints.load_full();
        let kept = |new: Endpoint| {
            let same = known.iter().find(|old| old.address == new.address && old.uid == new.uid);
            same.map_or_else(|| Arc::new(new), Arc::clone)
        };
        self.endpoints.store(Arc::new(fresh.into_iter().map(kept).collect()));
    }

    /// A pod at random, a healthy one if there is one. Breakers are not asked,
    /// and the call is not counted.
    pub(crate) fn any(&self) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let healthy = endpoints.iter().filter(|one| one.is_healthy()).choose(&mut rand::rng());
        healthy.or_else(|| endpoints.first()).cloned()
    }

    /// A call to the less busy of two pods taken at random, not one of `tried`.
    ///
    /// # Errors
    /// [`NoCall`].
    pub fn call(
        self: &Arc<Self>,
        route: &Arc<Route>,
        tried: &[Arc<Endpoint>],
        random: &mut impl Rng,
    ) -> Result<Call, NoCall> {
        let now = Instant::now();
        let endpoints = self.endpoints.load();
        let untried: Vec<_> =
            endpoints.iter().filter(|one| !tried.iter().any(|other| Arc::ptr_eq(one, other))).collect();
        if untried.is_empty() {
            return Err(NoCall::Empty);
        }
        if let Admission::Refused(wait) = self.breaker().peek(now) {
            return Err(NoCall::Open(wait));
        }
        // If no check succeeds, the checks may be at fault: better try.
        let healthy: Vec<_> = untried.iter().copied().filter(|one| one.is_healthy()).collect();
        let mut candidates = if healthy.is_empty() { untried } else { healthy };
        let mut full = None;
        candidates.retain(|one| {
            let refusal = one.refusal(now);
            let has_room = refusal.is_none();
            full = refusal.or_else(|| full.take());
            has_room
        });
        if let (true, Some(failure)) = (candidates.is_empty(), full) {
            return Err(NoCall::Full(failure));
        }
        let (willing, waits): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .map(|one| (one, one.breaker().peek(now)))
            .partition(|(_, says)| !matches!(says, Admission::Refused(_)));
        let Some(endpoint) = less_busy(&willing, random) else {
            let shortest = waits.iter().filter_map(|(_, says)| match says {
                Admission::Refused(wait) => Some(*wait),
                _ => None,
            });
            return Err(NoCall::Open(shortest.min().unwrap_or_default()));
        };
        self.admit(endpoint, route, now)
    }

    /// Takes what the peeks promised; a probe may have been taken in between.
    fn admit(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        route: &Arc<Route>,
        now: Instant,
    ) -> Result<Call, NoCall> {
        let of_endpoint = endpoint.breaker().admit(now);
        if let Admission::Refused(wait) = of_endpoint {
            return Err(NoCall::Open(wait));
        }
        let of_pool = self.breaker().admit(now);
        let call =
            Call::new(Arc::clone(self), Arc::clone(endpoint), Arc::clone(route), (of_pool, of_endpoint));
        match of_pool {
            // Dropping the call gives the pod's probe back.
            Admission::Refused(wait) => Err(NoCall::Open(wait)),
            Admission::Call | Admission::Probe => Ok(call),
        }
    }
}

fn less_busy<'a>(
    willing: &[(&'a Arc<Endpoint>, Admission)],
    random: &mut impl Rng,
) -> Option<&'a Arc<Endpoint>> {
    let two = index::sample(random, willing.len(), willing.len().min(2));
    two.iter().map(|chosen| willing[chosen].0).min_by_key(|one| one.outstanding())
}

/// All pools, by name.
#[derive(Debug, Default)]
pub struct Pools(ArcSwap<HashMap<String, Arc<Pool>>>);

impl Pools {
    /// The pool of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Pool>> {
        self.0.load().get(name).cloned()
    }

    /// All pools.
    pub fn all(&self) -> Arc<HashMap<String, Arc<Pool>>> {
        self.0.load_full()
    }

    /// Takes the names of the pools there are. Those that stay keep their pods.
    pub fn set_names<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let known = self.0.load_full();
        let kept = |name: &str| known.get(name).map_or_else(|| Arc::new(Pool::new(name)), Arc::clone);
        self.0.store(Arc::new(names.map(|name| (name.to_owned(), kept(name))).collect()));
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use ttsfleet_wire::error::ErrorCode;

    use crate::{breaker::Verdict, route::sample};

    fn endpoint(number: u8) -> Endpoint {
        Endpoint::new(([10, 0, 0, number], 8080).into(), format!("uid-{number}"))
    }

    fn pool_of(pods: u8) -> (Arc<Pool>, Arc<Route>, SmallRng) {
        let pool = Arc::new(Pool::new("main"));
        pool.set_endpoints((1..=pods).map(endpoint).collect());
        (pool, Arc::new(Route::new(sample()).unwrap()), SmallRng::seed_from_u64(7))
    }

    #[test]
    fn the_less_busy_pod_gets_the_call() {
        let (pool, route, mut random) = pool_of(2);
        let first = pool.call(&route, &[], &mut random).unwrap();
        let second = pool.call(&route, &[], &mut random).unwrap();
        assert_ne!(first.endpoint.address, second.endpoint.address);
        assert_eq!(first.endpoint.outstanding(), 1);
        let endpoint = Arc::clone(&first.endpoint);
        drop(first);
        assert_eq!(endpoint.outstanding(), 0);
    }

    #[test]
    fn a_pod_that_was_tried_is_not_chosen_again() {
        let (pool, route, mut random) = pool_of(2);
        let first = Arc::clone(&pool.call(&route, &[], &mut random).unwrap().endpoint);
        for _ in 0..20 {
            let call = pool.call(&route, std::slice::from_ref(&first), &mut random).unwrap();
            assert!(!Arc::ptr_eq(&call.endpoint, &first));
        }
        let all = pool.endpoints();
        assert_eq!(pool.call(&route, &all, &mut random).err(), Some(NoCall::Empty));
    }

    #[test]
    fn an_unhealthy_pod_is_chosen_only_if_all_are() {
        let (pool, route, mut random) = pool_of(2);
        let all = pool.endpoints();
        all[0].unreachable();
        for _ in 0..20 {
            assert_eq!(pool.call(&route, &[], &mut random).unwrap().endpoint.address, all[1].address);
        }
        all[1].unreachable();
        assert!(pool.call(&route, &[], &mut random).is_ok());
    }

    #[test]
    fn a_pod_known_to_be_full_is_not_asked() {
        let (pool, route, mut random) = pool_of(2);
        let failure = Failure::new(ErrorCode::TooManyRequests, "on purpose");
        let first = pool.call(&route, &[], &mut random).unwrap();
        first.refused(&failure);
        let second = pool.call(&route, &[], &mut random).unwrap();
        assert_ne!(first.endpoint.address, second.endpoint.address);
        second.refused(&failure);
        assert_eq!(pool.call(&route, &[], &mut random).err(), Some(NoCall::Full(failure)));
    }

    #[test]
    fn one_bad_pod_is_left_alone_and_does_not_condemn_the_pool() {
        let (pool, route, mut random) = pool_of(2);
        let bad = pool.endpoints()[0].address;
        for _ in 0..200 {
            let mut call = pool.call(&route, &[], &mut random).unwrap();
            let verdict = if call.endpoint.address == bad { Verdict::Bad } else { Verdict::Good };
            call.report(verdict);
        }
        let now = Instant::now();
        assert_eq!(pool.endpoints()[0].state(now), State::Open);
        assert_eq!(pool.state(now), State::Closed);
    }

    #[test]
    fn a_pool_with_all_pods_bad_refuses_and_says_how_long() {
        let (pool, route, mut random) = pool_of(3);
        let refused = (0..100).find_map(|_| {
            let call = pool.call(&route, &[], &mut random);
            call.map(|mut call| call.report(Verdict::Bad)).err()
        });
        let Some(NoCall::Open(wait)) = refused else { panic!("{refused:?}") };
        assert!(wait > Duration::from_secs(4) && wait <= Duration::from_secs(5), "{wait:?}");
    }

    #[test]
    fn what_is_known_of_a_pod_stays_until_another_has_its_address() {
        let (pool, ..) = pool_of(2);
        pool.endpoints()[0].unreachable();
        pool.set_endpoints(vec![endpoint(1), endpoint(3)]);
        assert!(!pool.endpoints()[0].is_healthy());
        pool.set_endpoints(vec![Endpoint::new(endpoint(1).address, "another".to_owned())]);
        assert!(pool.endpoints()[0].is_healthy());
    }
}
