//! What is known of one request: its ids for the headers, and its outcome for
//! the log line and the metrics, both written once when the last part of the
//! answer has gone or been dropped.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use ttsfleet_wire::headers;

use crate::{
    Failure, TraceParent,
    request_log::{self, Entry},
    traces::{self, Span},
};

/// Neither failed nor answered to the end: the client went away.
const CLIENT_CLOSED: (&str, u16) = ("ClientClosed", 499);
const OK: (&str, u16) = ("OK", 200);

/// Counts requests when they are over.
pub trait Observer: Send + Sync + 'static {
    /// Called once for each request.
    fn finished(&self, outcome: &Outcome);
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `OK`, a code of the error catalogue, or `ClientClosed`.
    pub code: &'static str,
    /// The code's HTTP status: 200, the catalogue's, or 499. An answer that
    /// failed half-way counts as what it failed with, whatever its head said.
    pub status: u16,
    /// From the request's headers to the end of its answer.
    pub spent: Duration,
    /// From the request's headers to its first audio.
    pub first_audio: Option<Duration>,
    /// Length of the text, once that was known, in Unicode characters.
    pub input_chars: Option<usize>,
    /// Length of the text as spoken, if it was.
    pub spoken_chars: Option<usize>,
    /// Length of the audio, if all of it has been sent and its length is known.
    pub audio: Option<Duration>,
    /// What else to count it under.
    pub labels: Labels,
}

/// What else to count a request under.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// The pool that answered.
    pub pool: Option<String>,
    /// The caller's tier.
    pub tier: Option<String>,
    /// The name of the caller's key.
    pub key: Option<String>,
    /// Why the answer is not all it should be.
    pub degraded: Option<&'static str>,
}

/// One request, from its headers to the end of its answer.
pub struct Record {
    observer: Arc<dyn Observer>,
    started: Instant,
    request_id: String,
    /// Its method and path, as the router has them; empty where no spans are exported.
    name: String,
    /// The caller's span, if it has one.
    caller: Option<TraceParent>,
    trace: TraceParent,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    ended: Option<(&'static str, u16)>,
    cause: Option<String>,
    first_audio: Option<Duration>,
    input_chars: Option<usize>,
    cut_to: Option<usize>,
    skipped_chars: usize,
    audio: Option<Duration>,
    labels: Labels,
    held: Vec<Box<dyn Send>>,
    unnoted: bool,
}

impl Record {
    pub(crate) fn new(observer: Arc<dyn Observer>, name: String, headers: &HeaderMap) -> Self {
        let request_id = headers.get(headers::REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = request_id.filter(|id| is_request_id(id)).map(str::to_owned);
        let caller = TraceParent::from_headers(headers);
        let trace = match &caller {
            Some(caller) => caller.child(),
            None => TraceParent::new_root(traces::sample()),
        };
        Self {
            observer,
            started: Instant::now(),
            request_id: request_id.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())),
            name,
            caller,
            trace,
            progress: Mutex::default(),
        }
    }

    /// When its headers had come.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The caller's id, or a new one.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Its own span, in the caller's trace or a new one.
    pub fn trace(&self) -> &TraceParent {
        &self.trace
    }

    /// Notes the length of the text, in Unicode characters.
    pub fn set_input_chars(&self, chars: usize) {
        self.progress().input_chars = Some(chars);
    }

    /// Notes that the text was cut to so many Unicode characters.
    pub fn set_cut_to(&self, chars: usize) {
        self.progress().cut_to = Some(chars);
    }

    /// Notes how many letters of the text the voice could not speak.
    pub fn set_skipped_chars(&self, chars: usize) {
        self.progress().skipped_chars = chars;
    }

    /// Notes the pool that answers.
    pub fn set_pool(&self, pool: &str) {
        self.progress().labels.pool = Some(pool.to_owned());
    }

    /// Notes the caller's tier.
    pub fn set_tier(&self, tier: &str) {
        self.progress().labels.tier = Some(tier.to_owned());
    }

    /// Notes the name of the caller's key.
    pub fn set_key(&self, name: &str) {
        self.progress().labels.key = Some(name.to_owned());
    }

    /// Notes how long the audio is that has been sent.
    pub fn set_audio(&self, length: Duration) {
        self.progress().audio = Some(length);
    }

    /// Notes why the answer is not all it should be.
    pub fn set_degraded(&self, why: &'static str) {
        self.progress().labels.degraded = Some(why);
    }

    /// Notes that there is audio now; only the first time counts.
    pub fn first_audio(&self) {
        self.progress().first_audio.get_or_insert(self.started.elapsed());
    }

    /// Keeps something until the answer has gone.
    pub fn hold(&self, held: impl Send + 'static) {
        self.progress().held.push(Box::new(held));
    }

    /// Notes a failure; the first one counts.
    pub fn fail(&self, failure: &Failure) {
        let mut progress = self.progress();
        if progress.ended.is_none() {
            let entry = failure.code.entry();
            progress.ended = Some((entry.code, entry.status));
            progress.cause.clone_from(&failure.cause);
        }
    }

    /// It was somebody who looks whether anybody is here: neither logged nor counted.
    pub fn is_no_request(&self) {
        self.progress().unnoted = true;
    }

    /// Notes that the answer has been sent to its end.
    pub(crate) fn complete(&self) {
        self.progress().ended.get_or_insert(OK);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut progress = self.progress();
        if progress.unnoted {
            return;
        }
        let (code, status) = progress.ended.unwrap_or(CLIENT_CLOSED);
        let spent = self.started.elapsed();
        let Progress { cause, first_audio, input_chars, cut_to, skipped_chars, .. } = &*progress;
        let (first_audio, input_chars, audio) = (*first_audio, *input_chars, progress.audio);
        let spoken_chars = first_audio.and(cut_to.or(input_chars));
        request_log::write(&Entry {
            trace_id: self.trace.trace_id(),
            request_id: &self.request_id,
            code,
            spent,
            input_chars,
            cause: cause.as_deref(),
            cut_to: *cut_to,
            skipped_chars: *skipped_chars,
        });
        let labels = std::mem::take(&mut progress.labels);
        let outcome = Outcome { code, status, spent, first_audio, input_chars, spoken_chars, audio, labels };
        self.observer.finished(&outcome);
        traces::export(&Span {
            name: &self.name,
            trace: &self.trace,
            parent: self.caller.as_ref(),
            request_id: &self.request_id,
            outcome: &outcome,
        });
    }
}

/// Short and plain enough to go into headers and logs.
fn is_request_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_request_ids_are_taken_over() {
        for good in ["a", "b7c-1.2_x", &"x".repeat(64)] {
            assert!(is_request_id(good), "{good}");
        }
        for bad in ["", "a b", "a\nb", "é", &"x".repeat(65)] {
            assert!(!is_request_id(bad), "{bad}");
        }
    }
}
