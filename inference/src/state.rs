//! What all handlers share.

use std::{fmt, io, sync::Arc};

use ttsfleet_serving::{Failure, Observer, Outcome};
use ttsfleet_wire::error::ErrorCode;

use crate::{
    admission::Admission,
    config::Limits,
    metrics::Metrics,
    pool::Pool,
    slot::{Served, Slot},
};

/// What all handlers share.
pub(crate) struct App {
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) admission: Admission,
    pub(crate) pool: Pool,
    pub(crate) slot: Slot,
}

impl App {
    pub(crate) fn new(limits: Limits) -> io::Result<Self> {
        let metrics = Metrics::new();
        Ok(Self {
            admission: Admission::new(&limits, &metrics),
            metrics,
            pool: Pool::start(limits.workers)?,
            slot: Slot::default(),
            limits,
        })
    }

    /// The model served at this moment: a request asks once, and keeps to it.
    pub(crate) fn served(&self) -> Result<Arc<Served>, Failure> {
        self.slot.serving().ok_or_else(|| {
            Failure::new(ErrorCode::ModelNotReady, "The model is still loading; try again soon.")
                .retry_after(5)
        })
    }

    /// Why the server takes no requests, if so. A busy server is ready: whether
    /// to ask another one is for the gateway to decide, pod by pod.
    pub(crate) fn unready(&self) -> Option<String> {
        let loading = || self.slot.serving().is_none().then(|| "loading the model".to_owned());
        self.admission.closed().map(|closed| closed.name().to_owned()).or_else(loading)
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
