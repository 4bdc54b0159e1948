//! What all requests share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use axum::http::{HeaderMap, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ttsfleet_serving::{BodyLimits, Failure, Readiness};
use ttsfleet_wire::error::ErrorCode;

use crate::{
    attempts::{Answered, Attempts, Exhausted},
    budget::RetryBudget,
    cors,
    flow::Flow,
    keys::Keys,
    metrics::{Metrics, WatchLabels},
    mirror::Mirrors,
    pool::{Pool, Pools},
    pressure::Pressure,
    route::{Route, Tier},
    sight::Watches,
    upstream::{Answer, Forward, Upstream},
    usage::Usage,
};

/// Longest body read, in bytes: every request in progress may hold one, and all
/// of them together must fit the pod's memory. The longest text of all fits, even
/// with every character written in twelve bytes.
pub(crate) const MOST_BODY_BYTES: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What all requests share.
pub struct Gateway {
    /// The pools and their pods.
    pub pools: Pools,
    /// API keys, where the route asks for them.
    pub keys: Arc<Keys>,
    /// What callers have had of what they may have.
    pub usage: Usage,
    /// Retries allowed.
    pub budget: RetryBudget,
    /// The way to the pods.
    pub upstream: Upstream,
    /// Pools whose requests are passed on to a judge.
    pub mirrors: Mirrors,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bounds of a request's body.
    pub body_limits: BodyLimits,
    /// Pools that have all they can do.
    pub(crate) pressure: Pressure,
    /// How the watches fare.
    pub(crate) watches: Watches,
    route: ArcSwapOption<Route>,
    places: Arc<Semaphore>,
    most: u32,
    draining: AtomicBool,
}

impl Gateway {
    /// A gateway for so many requests at once, without a route yet.
    pub fn new(most: u32) -> Self {
        let metrics = Arc::new(Metrics::new());
        Self {
            pools: Pools::default(),
            keys: Arc::default(),
            usage: Usage::default(),
            budget: RetryBudget::new(Instant::now()),
            upstream: Upstream::default(),
            mirrors: Mirrors::new(Arc::clone(&metrics)),
            metrics,
            body_limits: BodyLimits { max_bytes: MOST_BODY_BYTES, timeout: BODY_TIMEOUT },
            pressure: Pressure::default(),
            watches: Watches::default(),
            route: ArcSwapOption::empty(),
            places: Arc::new(Semaphore::new(most as usize)),
            most,
            draining: AtomicBool::new(false),
        }
    }

    /// Takes a new route; requests under way keep the one they have.
    pub fn set_route(&self, route: Route) {
        self.pools.set_names(route.pools.iter().map(|(name, _)| name.as_str()));
        self.mirrors.set(&route.mirrors);
        self.route.store(Some(Arc::new(route)));
    }

    /// The route.
    ///
    /// # Errors
    /// Until the first one has come.
    pub fn route(&self) -> Result<Arc<Route>, Failure> {
        self.route.load_full().ok_or_else(|| {
            let message = "The gateway does not know its fleet yet; try again soon.";
            Failure::new(ErrorCode::NoEndpoint, message).retry_after(1)
        })
    }

    /// The page that a request comes from, if that may call; none may until there is
    /// a route.
    pub(crate) fn page(&self, request: &HeaderMap) -> Option<HeaderValue> {
        cors::allowed(&self.route.load().as_ref()?.api.origins, request)
    }

    /// Whether there is a bound on what some caller may have.
    pub(crate) fn has_quotas(&self) -> bool {
        self.route.load().as_ref().is_some_and(|route| route.has_quotas()) || self.keys.have_quotas()
    }

    /// Attempts to have a text of that flow spoken.
    pub(crate) fn attempts<'a>(
        &'a self,
        route: &'a Arc<Route>,
        pools: Vec<Arc<Pool>>,
        flow: Flow,
        forward: &Forward,
    ) -> Attempts<'a> {
        let attempts = Attempts::new(route, &self.budget, pools).of(flow);
        if forward.is_long() { attempts.of_long_text() } else { attempts }
    }

    /// Makes the attempts, and counts them.
    pub(crate) async fn attempted(
        &self,
        attempts: Attempts<'_>,
        forward: &Forward,
    ) -> Result<Answered<Answer>, Exhausted> {
        let ended = attempts.run(|pod, time| self.upstream.attempt(forward, pod, time)).await;
        let made = ended.as_ref().map_or_else(|exhausted| exhausted.attempts, |answered| answered.attempts);
        self.metrics.attempts.inc_by(u64::from(made));
        ended
    }

    /// A tier's pools, the preferred one first.
    pub(crate) fn pools_of(&self, tier: &Tier) -> Vec<Arc<Pool>> {
        tier.pools.iter().filter_map(|name| self.pools.get(name)).collect()
    }

    /// A place among the requests in progress.
    ///
    /// # Errors
    /// When all are taken.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| self.full())
    }

    /// Whether there is a place at the moment.
    ///
    /// # Errors
    /// When all are taken.
    pub fn check(&self) -> Result<(), Failure> {
        if self.places.available_permits() == 0 { Err(self.full()) } else { Ok(()) }
    }

    fn full(&self) -> Failure {
        let message = format!("All {} places for requests are taken; try again.", self.most);
        Failure::new(ErrorCode::TooManyRequests, message).retry_after(1)
    }

    /// Whether requests should be sent here. A gateway that is blind is of use as
    /// long as it knows pods that answer.
    pub fn readiness(&self) -> Readiness {
        let blind = self.watches.blind(Instant::now());
        let unready = if self.is_draining() {
            Some("draining")
        } else if self.route.load().is_none() {
            Some("waiting for the route table")
        } else {
            blind.as_ref().filter(|_| !self.has_able_pod()).map(|_| "no pod can be called")
        };
        match (unready, blind) {
            (Some(reason), Some(blind)) => Readiness::Unready(format!("{reason}; {blind}")),
            (Some(reason), None) => Readiness::Unready(reason.to_owned()),
            (None, Some(blind)) => Readiness::But(blind),
            (None, None) => Readiness::Ready,
        }
    }

    fn has_able_pod(&self) -> bool {
        let (pools, now) = (self.pools.all(), Instant::now());
        let mut endpoints = pools.values().flat_map(|pool| pool.endpoints().to_vec());
        endpoints.any(|one| one.is_able(now))
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When a value cannot be written.
    pub fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let now = Instant::now();
        for watched in self.watches.all() {
            let labels = WatchLabels { watch: watched.name };
            self.metrics.watch_refused.get_or_create(&labels).set(i64::from(watched.is_refused(now)));
        }
        self.metrics.bad_key_lines.set(i64::try_from(self.keys.bad_lines()).unwrap_or(i64::MAX));
        self.metrics.encode()
    }

    /// Whether it is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// From now on it says that it is unready. Requests that come nevertheless
    /// are answered as long as there is time.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Waits until no request is in progress.
    pub async fn idle(&self) {
        _ = self.places.acquire_many(self.most).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::Endpoint, route::sample, sight::Sight};

    #[test]
    fn a_blind_gateway_says_so_and_is_of_use_while_it_knows_pods_that_answer() {
        let gateway = Gateway::new(8);
        assert_eq!(gateway.readiness(), Readiness::Unready("waiting for the route table".to_owned()));
        gateway.set_route(Route::new(sample()).unwrap());
        assert_eq!(gateway.readiness(), Readiness::Ready, "without pods, but not blind");
        gateway.watches.pods.note(Sight::Away, Instant::now());
        assert_eq!(gateway.readiness(), Readiness::Ready, "what is known holds");

        gateway.watches.pods.note(Sight::Refused, Instant::now());
        let Readiness::Unready(words) = gateway.readiness() else { panic!("it is ready") };
        assert!(words.contains("blind") && words.contains("pods"), "{words}");
        assert!(gateway.metrics_text().unwrap().contains(r#"watch_refused{watch="pods"} 1"#));

        let pool = gateway.pools.all().values().next().cloned().unwrap();
        pool.set_endpoints(vec![Endpoint::new(([10, 0, 0, 1], 8080).into(), "uid".to_owned())]);
        assert!(matches!(gateway.readiness(), Readiness::But(words) if words.contains("blind")));

        gateway.watches.pods.note(Sight::Clear, Instant::now());
        assert_eq!(gateway.readiness(), Readiness::Ready);
        gateway.drain();
        assert_eq!(gateway.readiness(), Readiness::Unready("draining".to_owned()));
    }
}
