//! What all requests share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ttsfleet_serving::{BodyLimits, Failure};
use ttsfleet_wire::error::ErrorCode;

use crate::{
    budget::RetryBudget, metrics::Metrics, mirror::Mirrors, pool::Pools, route::Route, tier::Keys,
    upstream::Upstream,
};

/// Longest body read, in bytes: every request in progress may hold one, and all
/// of them together must fit the pod's memory.
const MOST_BODY_BYTES: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What all requests share.
pub struct Gateway {
    /// The pools and their pods.
    pub pools: Pools,
    /// API keys, where the route asks for them.
    pub keys: Arc<Keys>,
    /// Retries allowed.
    pub budget: RetryBudget,
    /// The way to the pods.
    pub upstream: Upstream,
    /// Candidates that are asked the same as the pools.
    pub mirrors: Mirrors,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bounds of a request's body.
    pub body_limits: BodyLimits,
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
            budget: RetryBudget::new(Instant::now()),
            upstream: Upstream::default(),
            mirrors: Mirrors::new(Arc::clone(&metrics)),
            metrics,
            body_limits: BodyLimits { max_bytes: MOST_BODY_BYTES, timeout: BODY_TIMEOUT },
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

    /// A place among the requests in progress.
    ///
    /// # Errors
    /// When all are taken.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("All {} places for requests are taken; try again.", self.most);
            Failure::new(ErrorCode::TooManyRequests, message).retry_after(1)
        })
    }

    /// Why no request should be sent here, if so.
    pub fn unready(&self) -> Option<String> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining".to_owned());
        }
        self.route.load().is_none().then(|| "waiting for the route table".to_owned())
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
