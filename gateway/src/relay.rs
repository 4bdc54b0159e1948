//! From a pod's answer to the caller's: headers first, then bytes as they come.
//! Nothing is read from the pod before the caller has room for it.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ttsfleet_serving::{Failure, Record};
use ttsfleet_wire::{error::ErrorCode, headers};

use crate::{
    attempts::Answered, endpoint::Call, events::Events, limit::Limited, mirror::Tap, upstream::Answer,
};

/// The answer was cut off; the connection shows it by ending without an end.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct CutOff;

/// Headers of a pod's answer that its caller gets.
const PASSED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    HeaderName::from_static(headers::MODEL),
    HeaderName::from_static(headers::DIGEST),
    HeaderName::from_static(headers::SAMPLE_RATE),
    HeaderName::from_static(headers::QUEUE_MS),
];

/// The caller's answer: the pod's, with what the gateway knows of it.
pub(crate) fn respond(
    answered: Answered<Answer>,
    record: &Arc<Record>,
    idle: Duration,
    tap: Option<Tap>,
) -> Response {
    let Answered { answer: Answer { head, first, rest, .. }, call, attempts, .. } = answered;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = head.status;
    for name in &PASSED {
        if let Some(value) = head.headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    insert(response.headers_mut(), headers::POOL, &call.pool.name);
    response.headers_mut().insert(headers::ATTEMPTS, attempts.into());
    let events = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = match rest {
        None => Body::from(first),
        Some(rest) => {
            let (record, events) = (Arc::clone(record), events.then(Events::default));
            Relay { rest, call, record, idle, events, tap }.body(first)
        }
    };
    response.map(|_| body)
}

/// Tells the caller that the text was cut.
pub(crate) fn tell_truncated(limited: &Limited, headers: &mut HeaderMap) {
    if limited.is_truncated() {
        headers.insert(headers::TRUNCATED, HeaderValue::from_static("true"));
        headers.insert(headers::INPUT_CHARS, limited.input_chars.into());
        headers.insert(headers::SPOKEN_CHARS, limited.spoken_chars.into());
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An answer on its way.
struct Relay {
    rest: Incoming,
    call: Call,
    record: Arc<Record>,
    idle: Duration,
    /// Where the answer consists of events: the one that is not complete yet.
    events: Option<Events>,
    /// Where a candidate is asked the same.
    tap: Option<Tap>,
}

impl Relay {
    fn body(mut self, first: Bytes) -> Body {
        self.copy(&first);
        let first = self.whole_events(first);
        let rest = stream::unfold(Some(self), |relay| async {
            let mut relay = relay?;
            match relay.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(relay))),
                Ok(None) => None,
                Err(failure) => {
                    relay.call.broke();
                    relay.record.fail(&failure);
                    if let Some(tap) = relay.tap.take() {
                        tap.broke(failure.code);
                    }
                    match &relay.events {
                        Some(events) => Some((Ok(events.error(&failure, relay.record.request_id())), None)),
                        None => {
                            // What has come goes out first: an error drops the rest.
                            tokio::task::yield_now().await;
                            Some((Err(CutOff), None))
                        }
                    }
                }
            }
        });
        Body::from_stream(stream::iter([Ok(first)]).chain(rest))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        if let Some(tap) = &mut self.tap {
            tap.caller_is_back();
        }
        loop {
            let frame = tokio::time::timeout(self.idle, self.rest.frame()).await;
            let frame = frame.map_err(|_| {
                let cause = format!("nothing came for {} ms", self.idle.as_millis());
                cut_off(ErrorCode::UpstreamTimeout, cause)
            })?;
            match frame {
                None => {
                    if let Some(tap) = self.tap.take() {
                        tap.ended();
                    }
                    return Ok(None);
                }
                Some(Err(error)) => return Err(cut_off(ErrorCode::UpstreamFailed, error.to_string())),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.copy(&bytes);
                        return Ok(Some(self.whole_events(bytes)));
                    }
                }
            }
        }
    }

    fn copy(&mut self, bytes: &Bytes) {
        self.tap = self.tap.take().and_then(|tap| tap.take(bytes));
    }

    fn whole_events(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.events {
            Some(events) => events.push(bytes),
            None => bytes,
        }
    }
}

fn cut_off(code: ErrorCode, cause: String) -> Failure {
    Failure::new(code, "The answer broke off; what has come is not all of it.").because(cause)
}
