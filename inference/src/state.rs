//! What all handlers share.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use ttsfleet_models::SpeechModel;
use ttsfleet_serving::{Failure, Observer, Outcome};
use ttsfleet_wire::error::ErrorCode;

use crate::{admission::Admission, config::Limits, metrics::Metrics, pool::Pool};

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
    pub(crate) admission: Admission,
    pub(crate) pool: Pool,
    started: Instant,
    served: OnceLock<(Arc<Served>, i64)>,
}

impl App {
    pub(crate) fn new(limits: Limits) -> io::Result<Self> {
        let metrics = Metrics::new();
        Ok(Self {
            admission: Admission::new(&limits, &metrics),
            metrics,
            pool: Pool::start(limits.workers)?,
            started: Instant::now(),
            served: OnceLock::new(),
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

    /// Why the server takes no requests, if so. A busy server is ready: whether
    /// to ask another one is for the gateway to decide, pod by pod.
    pub(crate) fn unready(&self) -> Option<String> {
        if self.admission.is_draining() {
            return Some("draining".to_owned());
        }
        self.served.get().is_none().then(|| "loading the model".to_owned())
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics_text(&self) -> Result<String, fmt::Error> {
        // The breaker closes by the clock, and nobody is told when.
        self.metrics.breaker_open.set(i64::from(self.admission.busy().is_some()));
        self.metrics.encode()
    }
}

impl Observer for App {
    fn finished(&self, outcome: &Outcome) {
        self.metrics.finished(outcome);
    }
}
