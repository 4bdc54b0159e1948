//! The pools' pods, and which of them gets the next call.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rand::{Rng, seq::IteratorRandom};
use ttsfleet_serving::Failure;

use crate::{
    breaker::{Admission, Breaker, Resort, State},
    choice::{self, Choice, Look, Purpose},
    endpoint::{Endpoint, now},
    flow::Flow,
    health::Health,
    latency::Latency,
};

/// One pool's pods.
#[derive(Debug)]
pub struct Pool {
    /// The pool's name.
    pub name: String,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    breaker: Mutex<Breaker>,
    latency: Mutex<Latency>,
    /// When a caller was last turned away, as all pods were full.
    turned_away: Mutex<Option<Instant>>,
}

/// For so long after a caller was turned away no request gets two places.
const PRESSED_FOR: Duration = Duration::from_secs(1);

/// A pod that was chosen, and what the breakers said to that.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) of_pool: Admission,
    pub(crate) of_endpoint: Admission,
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

impl NoCall {
    /// The one of both that tells a caller more.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Open(one), Self::Open(other)) => Self::Open(one.min(other)),
            (Self::Full(one), Self::Full(other)) => {
                Self::Full(if one.retry_after_seconds() < other.retry_after_seconds() { one } else { other })
            }
            (full @ Self::Full(_), _) | (_, full @ Self::Full(_)) => full,
            (open @ Self::Open(_), _) | (_, open @ Self::Open(_)) => open,
            (Self::Empty, Self::Empty) => Self::Empty,
        }
    }
}

impl Pool {
    /// A pool without pods.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            endpoints: ArcSwap::default(),
            breaker: Mutex::new(Breaker::new(now())),
            latency: Mutex::default(),
            turned_away: Mutex::default(),
        }
    }

    /// Its pods, those among them that are not ready.
    pub fn endpoints(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Whether there is a pod that the cluster sends requests to.
    pub fn has_pods(&self) -> bool {
        self.endpoints.load().iter().any(|one| one.is_offered())
    }

    /// Where its breaker is.
    pub fn state(&self, now: Instant) -> State {
        self.breaker().state(now)
    }

    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how long a first pod took to answer, or was waited for in vain.
    pub(crate) fn waited(&self, time: Duration) {
        self.latency().add(now(), time);
    }

    /// How long answers take to begin, but for the late ones, if that is known.
    pub(crate) fn usual_wait(&self) -> Option<Duration> {
        self.latency().usual(now())
    }

    fn latency(&self) -> MutexGuard<'_, Latency> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether callers are turned away these days, as all pods are full.
    pub(crate) fn is_pressed(&self) -> bool {
        let turned_away = self.turned_away.lock().unwrap_or_else(PoisonError::into_inner);
        turned_away.is_some_and(|when| now().saturating_duration_since(when) < PRESSED_FOR)
    }

    pub(crate) fn turn_away(&self, now: Instant) {
        *self.turned_away.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// Takes the list of its pods. What is known of those that stay is kept. One
    /// that is named twice, as it may be while the cluster rearranges its lists,
    /// is one pod, and gets requests if either says so.
    pub fn set_endpoints(&self, fresh: Vec<Endpoint>) {
        let known = self.endpoints.load_full();
        let known: HashMap<_, _> = known.iter().map(|one| ((one.address, one.uid.as_str()), one)).collect();
        let offered: HashSet<_> =
            fresh.iter().filter(|one| one.is_offered()).map(|one| one.address).collect();
        let mut named = HashSet::new();
        let kept = |new: Endpoint| {
            if !named.insert(new.address) {
                return None;
            }
            let same = known.get(&(new.address, new.uid.as_str())).map(|known| Arc::clone(known));
            let kept = same.unwrap_or_else(|| Arc::new(new));
            kept.offer(offered.contains(&kept.address));
            Some(kept)
        };
        let kept: Vec<_> = fresh.into_iter().filter_map(kept).collect();
        self.endpoints.store(Arc::new(kept));
    }

    /// A pod at random, one that takes requests if there is one. Breakers are
    /// not asked, and the call is not counted.
    pub(crate) fn any(&self) -> Option<Arc<Endpoint>> {
        let endpoints = self.endpoints.load();
        let offered = || endpoints.iter().filter(|one| one.is_offered());
        let ready = offered().filter(|one| one.health() == Health::Ready).choose(&mut rand::rng());
        ready.or_else(|| offered().next()).cloned()
    }

    /// The less busy of two pods taken at random, none of those avoided. Both
    /// breakers have let a call through, and are owed a verdict.
    ///
    /// # Errors
    /// [`NoCall`].
    pub(crate) fn choose(
        &self,
        flow: Flow,
        purpose: Purpose,
        avoided: impl Fn(&Arc<Endpoint>) -> bool,
        now: Instant,
        random: &mut impl Rng,
    ) -> Result<Chosen, NoCall> {
        let endpoints = self.endpoints.load();
        if let Admission::Refused(wait) = self.breaker().peek(now, Resort::Last) {
            return Err(if endpoints.is_empty() { NoCall::Empty } else { NoCall::Open(wait) });
        }
        let look = |place: usize| {
            let endpoint = &endpoints[place];
            match endpoint.look(flow, purpose, now) {
                Look::Ready(_) if avoided(endpoint) => Look::Avoided,
                Look::Unready(_) if avoided(endpoint) => Look::Absent,
                look => look,
            }
        };
        match choice::choose(endpoints.len(), look, random) {
            Choice::Willing(place) => self.admit(&endpoints[place], now, Resort::First),
            Choice::AtNeed(place) => self.admit(&endpoints[place], now, Resort::Last),
            // It may have got room since.
            Choice::Full(place) => match endpoints[place].refusal(flow, now) {
                Some(failure) => {
                    self.turn_away(now);
                    Err(NoCall::Full(failure))
                }
                None => self.admit(&endpoints[place], now, Resort::First),
            },
            Choice::Open(wait) => Err(NoCall::Open(wait)),
            Choice::Empty => Err(NoCall::Empty),
        }
    }

    /// Takes what the look promised; a probe may have been taken in between.
    fn admit(&self, endpoint: &Arc<Endpoint>, now: Instant, resort: Resort) -> Result<Chosen, NoCall> {
        let of_pool = self.breaker().admit(now, Resort::Last);
        if let Admission::Refused(wait) = of_pool {
            return Err(NoCall::Open(wait));
        }
        let of_endpoint = endpoint.admit(now, resort);
        if let Admission::Refused(wait) = of_endpoint {
            self.breaker().give_back(of_pool);
            return Err(NoCall::Open(wait));
        }
        Ok(Chosen { endpoint: Arc::clone(endpoint), of_pool, of_endpoint })
    }
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
mod tests;
