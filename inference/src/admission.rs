//! Who is let in: a fixed number of requests at once, none while the queue
//! breaker is open, and none while the server stops.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{breaker::QueueBreaker, config::Limits, metrics::Metrics};

/// The door.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    most: u32,
    draining: AtomicBool,
    breaker: Mutex<QueueBreaker>,
    in_flight: Gauge,
    waiting: Gauge,
}

/// One place among the requests in progress.
pub(crate) struct Admitted {
    in_flight: Gauge,
    _permit: OwnedSemaphorePermit,
}

/// Counts a request as waiting for as long as it does, even if it is dropped.
pub(crate) struct Waiting(Gauge);

impl Admission {
    pub(crate) fn new(limits: &Limits, metrics: &Metrics) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.max_concurrency as usize)),
            most: limits.max_concurrency,
            draining: AtomicBool::new(false),
            breaker: Mutex::new(QueueBreaker::new(limits.max_queue_depth, limits.busy)),
            in_flight: metrics.in_flight.clone(),
            waiting: metrics.queue_depth.clone(),
        }
    }

    /// Fails if a request would be refused at this moment. Takes no place, so
    /// that it may be asked before the client has sent all of its request.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_draining() {
            let message = "This server is stopping; another one will answer.";
            return Err(Failure::new(ErrorCode::Draining, message).retry_after(1));
        }
        if let Some(left) = self.busy() {
            let seconds = left.as_secs_f64().ceil() as u16;
            let failure = Failure::new(ErrorCode::SystemBusy, "system busy, please retry");
            return Err(failure.retry_after(seconds));
        }
        if self.places.available_permits() == 0 {
            return Err(self.full());
        }
        Ok(())
    }

    /// A place among the requests in progress, or the refusal.
    pub(crate) fn admit(&self) -> Result<Admitted, Failure> {
        self.check()?;
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| self.full())?;
        self.in_flight.inc();
        Ok(Admitted { in_flight: self.in_flight.clone(), _permit: permit })
    }

    /// Joins the queue for a synthesis thread, which may be one too many.
    pub(crate) fn join_queue(&self) -> Waiting {
        let depth = usize::try_from(self.waiting.inc() + 1).unwrap_or_default();
        if self.breaker().joined(depth, Instant::now()) {
            tracing::warn!(depth, "too many requests wait for a thread; new ones are refused for a while");
        }
        Waiting(self.waiting.clone())
    }

    /// How long the queue breaker will still be open, if it is.
    pub(crate) fn busy(&self) -> Option<Duration> {
        self.breaker().remaining(Instant::now())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Takes no more requests, and waits until those admitted are answered or
    /// the time is up. Answers how many are left.
    pub(crate) async fn drain(&self, patience: Duration) -> usize {
        self.draining.store(true, Ordering::Release);
        let all = self.places.acquire_many(self.most);
        match tokio::time::timeout(patience, all).await {
            Ok(_) => 0,
            Err(_) => (self.most as usize).saturating_sub(self.places.available_permits()),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, QueueBreaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self) -> Failure {
        let message = format!("All {} places for requests are taken; try again.", self.most);
        Failure::new(ErrorCode::TooManyRequests, message).retry_after(1)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}
