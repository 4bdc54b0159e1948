//! What all handlers share.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ttsfleet_models::Script;
use ttsfleet_serving::{Failure, Observer, Outcome};
use ttsfleet_wire::error::ErrorCode;

use crate::{
    admission::Admission,
    average::Average,
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
    /// Who audio names as its producer; none if it is not marked.
    pub(crate) producer: Option<String>,
    seconds_per_letter: Mutex<Average>,
    /// Seconds of work to a second of speech.
    pace: Mutex<Average>,
}

/// Seconds of speech to a letter of a model's spelling, until that is known: those of
/// the built-in voice.
const SECONDS_PER_LETTER: f64 = 0.06;

/// Seconds of work to a second of speech, until that is known.
const PACE: f64 = 0.1;

impl App {
    pub(crate) fn new(limits: Limits, producer: Option<String>) -> io::Result<Self> {
        let metrics = Metrics::new();
        Ok(Self {
            admission: Admission::new(&limits, &metrics),
            metrics,
            pool: Pool::start(limits.workers, limits.cores)?,
            seconds_per_letter: Mutex::new(Average::new(SECONDS_PER_LETTER)),
            pace: Mutex::new(Average::new(PACE)),
            slot: Slot::default(),
            producer,
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

    /// How long a text will be when it is spoken, in seconds, after what others
    /// were lately.
    pub(crate) fn expected_seconds(&self, script: &Script) -> f64 {
        script.weight() * lock(&self.seconds_per_letter).value() + script.silence().as_secs_f64()
    }

    /// The same of a text that has not been read, by its characters.
    pub(crate) fn rough_seconds(&self, chars: usize) -> f64 {
        chars as f64 * lock(&self.seconds_per_letter).value()
    }

    /// Notes how long a text was when it was spoken, and how long that took.
    pub(crate) fn learn_seconds(&self, script: &Script, seconds: f64, work: f64) {
        if script.has_words() {
            let spoken = (seconds - script.silence().as_secs_f64()).max(0.0);
            lock(&self.seconds_per_letter).add(spoken / script.weight());
        }
        lock(&self.pace).add(work / seconds);
    }

    /// Whether a text's WAV file of that rate is expected to be complete before it
    /// would have to be sent unfinished.
    pub(crate) fn is_soon_whole(&self, script: &Script, sample_rate: u32) -> bool {
        let seconds = self.expected_seconds(script);
        let bytes = seconds * 2.0 * f64::from(sample_rate);
        let work = seconds * lock(&self.pace).value();
        bytes <= self.limits.whole_wav_bytes as f64 && work <= self.limits.whole_wav_wait.as_secs_f64()
    }

    /// Why the server takes no requests, if so. A busy server is ready: whether
    /// to ask another one is for the gateway to decide, pod by pod.
    pub(crate) fn unready(&self) -> Option<String> {
        let closed = self.admission.closed().map(|closed| closed.name().to_owned());
        let loading = || self.slot.serving().is_none().then(|| "loading the model".to_owned());
        closed.or_else(loading).or_else(|| stuck(self.pool.longest_turn(), self.limits.longest_piece))
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics_text(&self) -> Result<String, fmt::Error> {
        // The breaker closes by the clock, and nobody is told when.
        self.metrics.breaker_open.set(i64::from(self.admission.is_busy()));
        let stuck = self.pool.longer_turns(self.limits.longest_piece);
        self.metrics.stuck_workers.set(i64::try_from(stuck).unwrap_or(i64::MAX));
        self.metrics.encode()
    }
}

fn lock(average: &Mutex<Average>) -> MutexGuard<'_, Average> {
    average.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says so if a piece of audio has been in the making for longer than any takes:
/// its thread will not come back.
fn stuck(longest: Duration, limit: Duration) -> Option<String> {
    (longest > limit).then(|| format!("a synthesis thread has been busy for {} s", longest.as_secs()))
}

impl Observer for App {
    fn finished(&self, outcome: &Outcome) {
        self.metrics.finished(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_that_never_ends_is_said_to_be_one() {
        let limit = Duration::from_secs(60);
        assert_eq!(stuck(limit, limit), None);
        let words = stuck(Duration::from_millis(61_200), limit);
        assert_eq!(words.as_deref(), Some("a synthesis thread has been busy for 61 s"));
    }
}
