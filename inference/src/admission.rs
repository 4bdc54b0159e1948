//! Who is let in: a fixed number of requests at once, none while the queue
//! breaker is open, and none while the server stops or its model goes before
//! the next one comes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{breaker::QueueBreaker, config::Limits, metrics::Metrics};

/// The door.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    most: u32,
    draining: AtomicBool,
    paused: AtomicBool,
    breaker: Mutex<QueueBreaker>,
    in_flight: Gauge,
    waiting: Gauge,
}

/// One place among the requests in progress.
pub(crate) struct Admitted {
    in_flight: Gauge,
    _permit: OwnedSemaphorePermit,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    Draining,
    Paused,
}

/// Nobody is let in, and nobody is inside, for as long as this lives.
pub(crate) struct Paused<'a> {
    paused: &'a AtomicBool,
    places: Option<SemaphorePermit<'a>>,
}

/// Counts a request as waiting for as long as it does, even if it is dropped.
pub(crate) struct Waiting(Gauge);

impl Admission {
    pub(crate) fn new(limits: &Limits, metrics: &Metrics) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.max_concurrency as usize)),
            most: limits.max_concurrency,
            draining: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            breaker: Mutex::new(QueueBreaker::new(limits.max_queue_depth, limits.busy)),
            in_flight: metrics.in_flight.clone(),
            waiting: metrics.queue_depth.clone(),
        }
    }

    /// Fails if a request would be refused at this moment. Takes no place, so
    /// that it may be asked before the client has sent all of its request.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if let Some(closed) = self.closed() {
            let message = format!("This server is {}; another one will answer.", closed.name());
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
        // It may have been closed in the meantime.
        let refusal = |_| self.check().err().unwrap_or_else(|| self.full());
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(refusal)?;
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

    /// Why nobody is let in, whatever room there is.
    pub(crate) fn closed(&self) -> Option<Closed> {
        if self.draining.load(Ordering::Acquire) {
            return Some(Closed::Draining);
        }
        self.paused.load(Ordering::Acquire).then_some(Closed::Paused)
    }

    /// Takes no more requests, and waits until those admitted are answered or
    /// the time is up. Answers how many are left.
    pub(crate) async fn drain(&self, patience: Duration) -> usize {
        self.draining.store(true, Ordering::Release);
        match self.all_places(patience).await {
            Some(_) => 0,
            None => self.inside(),
        }
    }

    /// Takes no more requests, and waits until those admitted are answered.
    /// Fails with the number of those left if the time is up; then it goes on
    /// as before.
    pub(crate) async fn pause(&self, patience: Duration) -> Result<Paused<'_>, usize> {
        self.paused.store(true, Ordering::Release);
        let mut paused = Paused { paused: &self.paused, places: None };
        paused.places = self.all_places(patience).await;
        if paused.places.is_some() { Ok(paused) } else { Err(self.inside()) }
    }

    async fn all_places(&self, patience: Duration) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(patience, self.places.acquire_many(self.most)).await.ok()?.ok()
    }

    fn inside(&self) -> usize {
        (self.most as usize).saturating_sub(self.places.available_permits())
    }

    fn breaker(&self) -> MutexGuard<'_, QueueBreaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self) -> Failure {
        let message = format!("All {} places for requests are taken; try again.", self.most);
        Failure::new(ErrorCode::TooManyRequests, message).retry_after(1)
    }
}

impl Closed {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Paused => "changing its model",
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        // Who is let in then finds a place.
        self.places = None;
        self.paused.store(false, Ordering::Release);
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
