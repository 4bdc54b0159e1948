//! What is known of one request: its ids for the headers, and its outcome for
//! the log line and the metrics, both written once when the last part of the
//! answer has gone or been dropped.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use uuid::Uuid;

use super::Failure;
use crate::{
    metrics::Outcome,
    state::{Admitted, App},
};

const REQUEST_ID: &str = "x-request-id";
const TRACE_PARENT: &str = "traceparent";
const CLIENT_CLOSED: &str = "ClientClosed";

/// One request, from its headers to the end of its answer.
pub(super) struct Record {
    app: Arc<App>,
    started: Instant,
    pub(super) request_id: String,
    trace_parent: Option<HeaderValue>,
    outcome: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    code: Option<&'static str>,
    cause: Option<String>,
    input_chars: Option<usize>,
    admitted: Option<Admitted>,
}

impl Record {
    fn new(app: Arc<App>, headers: &HeaderMap) -> Self {
        let trace_parent = headers.get(TRACE_PARENT).filter(|value| is_trace_parent(value.as_bytes()));
        let request_id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = request_id.filter(|id| is_request_id(id)).map(str::to_owned);
        Self {
            app,
            started: Instant::now(),
            request_id: request_id.unwrap_or_else(|| Uuid::new_v4().simple().to_string()),
            trace_parent: trace_parent.cloned(),
            outcome: Mutex::default(),
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn set_input_chars(&self, chars: usize) {
        self.outcome().input_chars = Some(chars);
    }

    /// Keeps the request's place taken until its answer has gone.
    pub(super) fn hold(&self, admitted: Admitted) {
        self.outcome().admitted = Some(admitted);
    }

    /// Notes a failure; the first one counts.
    pub(super) fn fail(&self, failure: &Failure) {
        let mut outcome = self.outcome();
        if outcome.code.is_none() {
            outcome.code = Some(failure.code.entry().code);
            outcome.cause.clone_from(&failure.cause);
        }
    }

    fn complete(&self) {
        self.outcome().code.get_or_insert("OK");
    }

    fn outcome(&self) -> MutexGuard<'_, Progress> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Progress { code, cause, input_chars, .. } = &*self.outcome();
        // Neither failed nor answered to the end: the client went away.
        let code = code.unwrap_or(CLIENT_CLOSED);
        let spent = self.started.elapsed();
        self.app.metrics.requests.get_or_create(&Outcome { code }).inc();
        if input_chars.is_some() {
            self.app.metrics.duration.observe(spent.as_secs_f64());
        }
        let trace = self.trace_parent.as_ref().and_then(|value| value.to_str().ok()?.split('-').nth(1));
        tracing::info!(
            request_id = self.request_id,
            trace_id = trace,
            code,
            cost_ms = spent.as_millis() as u64,
            input_chars,
            cause,
            "request"
        );
    }
}

/// Wraps every request of the speech port.
pub(super) async fn track(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let record = Arc::new(Record::new(app, request.headers()));
    request.extensions_mut().insert(Arc::clone(&record));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&record.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(trace) = record.trace_parent.clone() {
        headers.insert(TRACE_PARENT, trace);
    }
    response.map(|body| Body::new(Tracked { body, record }))
}

/// A body that tells its record when it has been sent.
struct Tracked {
    body: Body,
    record: Arc<Record>,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        // A body of known length is not polled again after its last frame.
        let ended = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        if ended {
            self.record.complete();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Short and plain enough to go into headers and logs.
fn is_request_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

/// W3C Trace Context, version 00.
fn is_trace_parent(value: &[u8]) -> bool {
    let parts: Vec<&[u8]> = value.split(|&byte| byte == b'-').collect();
    let hex = |part: &[u8], length| {
        part.len() == length && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let nonzero = |part: &[u8]| part.iter().any(|&byte| byte != b'0');
    match parts[..] {
        [b"00", trace, parent, flags] => {
            hex(trace, 32) && nonzero(trace) && hex(parent, 16) && nonzero(parent) && hex(flags, 2)
        }
        _ => false,
    }
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

    #[test]
    fn only_valid_trace_parents_are_echoed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_trace_parent(good.as_bytes()));
        let zero = good.replace("b7ad6b7169203331", "0000000000000000");
        for bad in [&good.to_uppercase(), &zero, &good[1..], "", "00---", &format!("{good}-x")] {
            assert!(!is_trace_parent(bad.as_bytes()), "{bad}");
        }
    }
}
