//! Who is let in: a fixed number of requests at once, a caller's share of them
//! where there are others, none while the queue breaker is open, and none while
//! the server stops or its model goes before the next one comes.

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

use crate::{
    breaker::QueueBreaker,
    callers::{Callers, Claim, Outlook, Refusal, Room},
    config::Limits,
    metrics::Metrics,
    pool::Pool,
    scheduler::Scheduler,
};

/// Seconds after which one is told to come back, at most, if the breaker says
/// nothing of it.
const MOST_TOLD: f64 = 60.0;

/// The door.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    most: u32,
    workers: usize,
    draining: AtomicBool,
    paused: AtomicBool,
    queue: Arc<Queue>,
    callers: Arc<Mutex<Callers>>,
    in_flight: Gauge,
}

/// Those who wait for a thread.
struct Queue {
    breaker: Mutex<QueueBreaker>,
    depth: Gauge,
}

/// One place among the requests in progress.
pub(crate) struct Admitted {
    claim: Claim,
    /// The caller's part of the server when it was taken, up to 1.
    pub(crate) share: f64,
    callers: Arc<Mutex<Callers>>,
    in_flight: Gauge,
    _permit: OwnedSemaphorePermit,
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    /// Whether it is this caller who has too much, and others are let in.
    pub(crate) over_share: bool,
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
pub(crate) struct Waiting(Arc<Queue>);

impl Admission {
    pub(crate) fn new(limits: &Limits, metrics: &Metrics) -> Self {
        let breaker = Mutex::new(QueueBreaker::new(limits.max_queue_depth, limits.busy));
        Self {
            places: Arc::new(Semaphore::new(limits.max_concurrency as usize)),
            most: limits.max_concurrency,
            workers: limits.workers,
            draining: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            queue: Arc::new(Queue { breaker, depth: metrics.queue_depth.clone() }),
            callers: Arc::default(),
            in_flight: metrics.in_flight.clone(),
        }
    }

    /// Fails if a request for so many seconds of speech, as far as is known, would be
    /// refused at this moment. Takes no place, so that it may be asked before the
    /// client has sent all of its request.
    pub(crate) fn check(&self, claim: &Claim, seconds: f64, pool: &Pool) -> Result<(), Refused> {
        if let Some(closed) = self.closed() {
            let message = format!("This server is {}; another one will answer.", closed.name());
            return Err(Refused::all(Failure::new(ErrorCode::Draining, message).retry_after(1)));
        }
        let now = Instant::now();
        let room = self.room(self.outlook(claim, seconds, pool, now), now);
        let judged = lock(&self.callers).judge(claim, room, now);
        judged.map_err(|refusal| self.refused(refusal, pool.interval(), room.outlook, now))
    }

    /// A place among the requests in progress, or the refusal.
    pub(crate) fn admit(&self, claim: &Claim, seconds: f64, pool: &Pool) -> Result<Admitted, Refused> {
        self.check(claim, seconds, pool)?;
        // It may have been closed in the meantime.
        let refusal = |_| self.check(claim, seconds, pool).err().unwrap_or_else(|| Refused::all(self.full()));
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(refusal)?;
        self.in_flight.inc();
        Ok(Admitted {
            share: lock(&self.callers).enter(claim, Instant::now()),
            claim: claim.clone(),
            callers: Arc::clone(&self.callers),
            in_flight: self.in_flight.clone(),
            _permit: permit,
        })
    }

    /// Joins the queue for a synthesis thread, which may be one too many.
    pub(crate) fn join_queue(&self) -> Waiting {
        let depth = usize::try_from(self.queue.depth.inc() + 1).unwrap_or_default();
        if lock(&self.queue.breaker).joined(depth, Instant::now()) {
            tracing::warn!(
                depth,
                "too many requests wait for a thread; new ones are refused until half have gone"
            );
        }
        Waiting(Arc::clone(&self.queue))
    }

    /// The refusal of a request that has waited for a thread for too long.
    pub(crate) fn waited_in_vain(&self, claim: &Claim, seconds: f64, pool: &Pool) -> Refused {
        let now = Instant::now();
        let outlook = self.outlook(claim, seconds, pool, now);
        let refusal = lock(&self.callers).impatient(claim, outlook);
        self.refused(refusal, pool.interval(), outlook, now)
    }

    /// Whether the queue breaker is open.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.queue.breaker).remaining(Instant::now()).is_some()
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

    /// Notes that a caller asks; answers what it has to expect.
    fn outlook(&self, claim: &Claim, seconds: f64, pool: &Pool, now: Instant) -> Outlook {
        let share = lock(&self.callers).asks(claim, now);
        pool.outlook(&claim.caller, share, Scheduler::is_bulky(claim, seconds))
    }

    fn room(&self, outlook: Outlook, now: Instant) -> Room {
        let breaker = lock(&self.queue.breaker);
        let drained = breaker.remaining(now).map(|_| self.workers + breaker.half());
        Room { places: self.most as usize, inside: self.inside(), drained, outlook }
    }

    fn refused(&self, refusal: Refusal, interval: Duration, outlook: Outlook, now: Instant) -> Refused {
        let over_share = matches!(refusal, Refusal::OverShare | Refusal::BusyOverShare);
        let failure = match refusal {
            Refusal::Full => self.full(),
            Refusal::OverShare => Failure::new(
                ErrorCode::TooManyRequests,
                "You have your share of the places for requests, and others ask for theirs; try again.",
            )
            .retry_after(1),
            Refusal::Busy | Refusal::BusyOverShare => {
                let depth = usize::try_from(self.queue.depth.get()).unwrap_or_default();
                let drained = lock(&self.queue.breaker).retry_after(depth, interval, now);
                let waited = || outlook.wait.as_secs_f64().ceil().clamp(1.0, MOST_TOLD) as u32;
                Failure::new(ErrorCode::SystemBusy, "system busy, please retry")
                    .retry_after(drained.unwrap_or_else(waited))
            }
        };
        Refused { failure, over_share }
    }

    fn full(&self) -> Failure {
        let message = format!("All {} places for requests are taken; try again.", self.most);
        Failure::new(ErrorCode::TooManyRequests, message).retry_after(1)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::all(failure)
    }
}

impl Refused {
    fn all(failure: Failure) -> Self {
        Self { failure, over_share: false }
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
        lock(&self.callers).leave(&self.claim.caller, Instant::now());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let depth = usize::try_from(self.0.depth.dec() - 1).unwrap_or_default();
        lock(&self.0.breaker).left(depth);
    }
}
