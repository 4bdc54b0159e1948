//! How far the staging of a model is.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// How often the log tells of it, in percent.
const LOG_STEP: u64 = 10;

/// How far the staging of a model is; for others to read at any time.
#[derive(Debug, Default)]
pub struct StageProgress {
    /// Bytes in the store so far.
    pub done: AtomicU64,
    /// Bytes of the whole folder; 0 until known.
    pub total: AtomicU64,
    trouble: Mutex<Option<String>>,
    logged_percent: AtomicU64,
}

impl StageProgress {
    /// What went wrong on the way and is tried again.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what went wrong, or that it is over.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Has that many bytes, and says so in the log now and then.
    pub(super) fn reach(&self, done: u64) {
        self.done.store(done, Relaxed);
        let total = self.total.load(Relaxed).max(1);
        let percent = (u128::from(done) * 100 / u128::from(total)) as u64;
        if percent >= self.logged_percent.load(Relaxed) + LOG_STEP {
            self.logged_percent.store(percent - percent % LOG_STEP, Relaxed);
            tracing::info!(percent, bytes = done, "staging");
        }
    }

    /// All of it was here already.
    pub(super) fn complete(&self, total: u64) {
        self.total.store(total, Relaxed);
        self.done.store(total, Relaxed);
        self.set_trouble(None);
    }
}
