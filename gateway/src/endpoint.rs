//! One pod as the gateway sees it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use ttsfleet_serving::Failure;

use crate::{
    breaker::{Admission, Breaker, State, Verdict},
    pool::Pool,
    room::Room,
    route::Route,
};

/// Failed health checks in a row after which a pod counts as unhealthy.
const FAILURES: u32 = 2;

/// A pod's speech port, and what is known of the pod.
#[derive(Debug)]
pub struct Endpoint {
    /// Address of the speech port.
    pub address: SocketAddr,
    /// Tells a pod from an earlier one of the same address.
    pub uid: String,
    outstanding: AtomicUsize,
    failed_checks: AtomicU32,
    healthy: watch::Sender<bool>,
    breaker: Mutex<Breaker>,
    room: Room,
}

impl Endpoint {
    /// A pod nothing is known of.
    pub fn new(address: SocketAddr, uid: String) -> Self {
        Self {
            address,
            uid,
            outstanding: AtomicUsize::new(0),
            failed_checks: AtomicU32::new(0),
            healthy: watch::Sender::new(true),
            breaker: Mutex::new(Breaker::new(Instant::now())),
            room: Room::default(),
        }
    }

    /// Requests of this gateway in progress there.
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    /// Whether the last checks and connections went well.
    pub fn is_healthy(&self) -> bool {
        *self.healthy.borrow()
    }

    /// Resolves when the pod turns from healthy to unhealthy.
    pub async fn lost(&self) {
        let mut healthy = self.healthy.subscribe();
        // The sender is in `self`, so that neither wait can fail.
        _ = healthy.wait_for(|healthy| *healthy).await;
        _ = healthy.wait_for(|healthy| !healthy).await;
    }

    /// Takes the outcome of a health check.
    pub fn checked(&self, well: bool) {
        let failed = if well { 0 } else { self.failed_checks.load(Ordering::Relaxed).saturating_add(1) };
        self.set_failed_checks(failed);
    }

    /// It does not even accept a connection: no need for a second check.
    pub fn unreachable(&self) {
        self.set_failed_checks(FAILURES);
    }

    fn set_failed_checks(&self, failed: u32) {
        self.failed_checks.store(failed, Ordering::Relaxed);
        self.healthy.send_if_modified(|healthy| {
            let was = std::mem::replace(healthy, failed < FAILURES);
            was != *healthy
        });
    }

    /// Where its breaker is.
    pub fn state(&self, now: Instant) -> State {
        self.breaker().state(now)
    }

    /// What it would answer now for want of room, if that is known.
    pub fn refusal(&self, now: Instant) -> Option<Failure> {
        self.room.refusal(self.outstanding(), now)
    }

    pub(crate) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way: counted as outstanding for as long as it lives, and owed
/// a verdict. Dropped without one, it says that nobody waited for the outcome,
/// or that it was slow if that is certain already.
pub struct Call {
    /// The pool that was chosen.
    pub pool: Arc<Pool>,
    /// The pod in it.
    pub endpoint: Arc<Endpoint>,
    route: Arc<Route>,
    begun: tokio::time::Instant,
    admitted: Option<(Admission, Admission)>,
}

impl Call {
    /// A call that both breakers let through.
    pub(crate) fn new(
        pool: Arc<Pool>,
        endpoint: Arc<Endpoint>,
        route: Arc<Route>,
        (of_pool, of_endpoint): (Admission, Admission),
    ) -> Self {
        endpoint.outstanding.fetch_add(1, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        Self { pool, endpoint, route, begun, admitted: Some((of_pool, of_endpoint)) }
    }

    /// Gives the verdict; only the first one counts.
    pub fn report(&mut self, verdict: Verdict) {
        let Some((of_pool, of_endpoint)) = self.admitted.take() else { return };
        let now = Instant::now();
        let opened = self.endpoint.breaker().report(now, of_endpoint, verdict, &self.route.pod_rule);
        if opened {
            tracing::warn!(pool = self.pool.name, pod = %self.endpoint.address, "a pod is slow or fails: left alone");
        }
        // What a pod left alone did is its own fault and not the pool's.
        let condemned = self.endpoint.breaker().state(now) != State::Closed;
        let verdict = if condemned && of_pool == Admission::Call { Verdict::Unknown } else { verdict };
        if self.pool.breaker().report(now, of_pool, verdict, &self.route.pool_rule) {
            tracing::warn!(pool = self.pool.name, "a pool is slow or fails: left alone");
        }
    }
}

impl Call {
    /// Time since it was made.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether it has taken longer than a call should.
    pub fn is_slow(&self) -> bool {
        self.age() > self.route.pod_rule.threshold
    }

    /// The pod refused it for want of room.
    pub fn refused(&self, failure: &Failure) {
        let beside = self.endpoint.outstanding().saturating_sub(1);
        self.endpoint.room.refused(failure, beside, Instant::now());
    }

    /// The answer broke off after its first audio, when the verdict had been given.
    pub fn broke(&self) {
        let now = Instant::now();
        self.endpoint.breaker().report(now, Admission::Call, Verdict::Bad, &self.route.pod_rule);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let verdict = if self.is_slow() { Verdict::Bad } else { Verdict::Unknown };
        self.report(verdict);
        self.endpoint.outstanding.fetch_sub(1, Ordering::Relaxed);
    }
}
