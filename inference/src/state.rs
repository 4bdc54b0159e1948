//! What all handlers share.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ttsfleet_models::SpeechModel;
use ttsfleet_wire::error::ErrorCode;

use crate::{config::Limits, http::Failure, metrics::Metrics, pool::Pool};

/// A model ready to speak.
pub struct Served {
    /// The model.
    pub model: Box<dyn SpeechModel>,
    /// `sha256:…` of its manifest.
    pub digest: String,
}

impl Served {
    /// `name@version`.
    pub fn id(&self) -> String {
        let manifest = self.model.manifest();
        format!("{}@{}", manifest.name, manifest.version)
    }
}

/// What all handlers share.
pub(crate) struct App {
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) pool: Pool,
    started: Instant,
    served: OnceLock<(Arc<Served>, i64)>,
    admission: Arc<Semaphore>,
    draining: AtomicBool,
}

/// One place among the requests in progress.
pub(crate) struct Admitted {
    app: Arc<App>,
    _permit: OwnedSemaphorePermit,
}

impl App {
    pub(crate) fn new(limits: Limits) -> io::Result<Self> {
        Ok(Self {
            metrics: Metrics::new(),
            pool: Pool::start(limits.workers)?,
            started: Instant::now(),
            served: OnceLock::new(),
            admission: Arc::new(Semaphore::new(limits.max_concurrency as usize)),
            draining: AtomicBool::new(false),
            limits,
        })
    }

    /// Makes the model known; from now on the server is ready.
    pub(crate) fn serve(&self, served: Served) {
        let id = served.id();
        let digest = served.digest.clone();
        self.metrics.set_model(served.model.manifest(), &digest);
        self.metrics.load_time.set(self.started.elapsed().as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        if self.served.set((Arc::new(served), now)).is_ok() {
            tracing::info!(model = id, digest, "model loaded");
        }
    }

    /// The model, and when it was loaded in Unix seconds.
    pub(crate) fn served(&self) -> Result<&(Arc<Served>, i64), Failure> {
        self.served.get().ok_or_else(|| {
            Failure::new(ErrorCode::ModelNotReady, "The model is still loading; try again soon.")
                .retry_after(5)
        })
    }

    /// Why the server takes no requests, if so.
    pub(crate) fn unready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining");
        }
        self.served.get().is_none().then_some("loading the model")
    }

    /// A place among the requests in progress, or the refusal.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Admitted, Failure> {
        let draining = self.draining.load(Ordering::Acquire);
        match Arc::clone(&self.admission).try_acquire_owned() {
            Ok(permit) if !draining => {
                self.metrics.in_flight.inc();
                Ok(Admitted { app: Arc::clone(self), _permit: permit })
            }
            Err(_) if !draining => {
                let most = self.limits.max_concurrency;
                let message = format!("All {most} places for requests are taken; try again.");
                Err(Failure::new(ErrorCode::TooManyRequests, message).retry_after(1))
            }
            _ => {
                let message = "This server is stopping; another one will answer.";
                Err(Failure::new(ErrorCode::Draining, message).retry_after(1))
            }
        }
    }

    /// Takes no more requests, and waits until those admitted are answered or
    /// the time is up. Answers how many are left.
    pub(crate) async fn drain(&self) -> usize {
        self.draining.store(true, Ordering::Release);
        let most = self.limits.max_concurrency;
        let all = self.admission.acquire_many(most);
        match tokio::time::timeout(self.limits.drain, all).await {
            Ok(_) => 0,
            Err(_) => (most as usize).saturating_sub(self.admission.available_permits()),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.app.metrics.in_flight.dec();
    }
}
