//! One attempt over HTTP.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, Response, Uri, header, response},
};
use http_body_util::{BodyExt, Full, Limited};
use ttsfleet_serving::Failure;
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    headers,
};

use crate::{
    client::{Answering, Client, SendError},
    outcome::{Outcome, Refusal},
};

/// Longest error body that is read.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// The way to the pods that all calls share.
#[derive(Default)]
pub struct Upstream(Client);

/// A request to be forwarded, to whichever pod.
#[derive(Debug, Clone)]
pub struct Forward {
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Forward {
    /// Whether its text waits for shorter ones.
    pub(crate) fn is_long(&self) -> bool {
        self.headers.contains_key(headers::LONG)
    }
}

/// A pod's answer, from its first bytes on.
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    /// The first bytes; empty only if the pod declined.
    pub first: Bytes,
    /// The rest, still to come; none if that was all.
    pub rest: Option<Answering>,
    /// Why the pod declined, if it did and said so.
    pub code: Option<ErrorCode>,
}

/// Why there is no answer at all.
pub(crate) struct Unsent {
    pub(crate) failure: Failure,
    /// Whether there was a connection.
    pub(crate) connected: bool,
}

impl Upstream {
    /// Sends the request and waits for the answer's head.
    pub(crate) async fn send(
        &self,
        forward: &Forward,
        pod: SocketAddr,
    ) -> Result<Response<Answering>, Unsent> {
        let sent = self.0.send(build(forward), pod).await;
        let connected = |error: &SendError| !matches!(error, SendError::Connect(_));
        sent.map_err(|error| Unsent { connected: connected(&error), failure: broken(&error) })
    }

    /// Sends the request to a pod and waits for its first audio.
    pub async fn attempt(&self, forward: &Forward, pod: SocketAddr, time: Duration) -> Outcome<Answer> {
        let attempt = async {
            match self.send(forward, pod).await {
                Ok(response) => read(response).await,
                Err(Unsent { failure, connected: false }) => Outcome::Unreachable(failure),
                Err(Unsent { failure, connected: true }) => Outcome::Disconnected(failure),
            }
        };
        tokio::time::timeout(time, attempt).await.unwrap_or_else(|_| {
            let message = "The fleet had no audio in time; try again, or send a shorter text.";
            let cause = format!("no audio from {pod} within {} ms", time.as_millis());
            Outcome::Failed(Failure::new(ErrorCode::UpstreamTimeout, message).because(cause))
        })
    }
}

fn build(forward: &Forward) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(forward.body.clone()));
    *request.method_mut() = forward.method.clone();
    *request.uri_mut() = Uri::from_static(forward.path);
    *request.headers_mut() = forward.headers.clone();
    request
}

async fn read(response: Response<Answering>) -> Outcome<Answer> {
    let (head, mut body) = response.into_parts();
    if !head.status.is_success() {
        return judge(head, body).await;
    }
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                let Ok(first) = frame.into_data() else { continue };
                if !first.is_empty() {
                    return Outcome::Answer(Answer { head, first, rest: Some(body), code: None });
                }
            }
            Some(Err(error)) => return Outcome::Failed(broken(&error)),
            None => {
                let failure =
                    Failure::new(ErrorCode::UpstreamFailed, "The fleet's answer had no audio; try again.");
                return Outcome::Failed(failure);
            }
        }
    }
}

/// Whether the fault is the caller's, the pod's, or nobody's.
async fn judge(head: response::Parts, body: Answering) -> Outcome<Answer> {
    let bytes = match Limited::new(body, MOST_ERROR_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            return Outcome::Failed(
                Failure::new(ErrorCode::UpstreamFailed, "A pod failed; try again.")
                    .because(error.to_string()),
            );
        }
    };
    let told = serde_json::from_slice::<ErrorBody>(&bytes).ok();
    let code = told.as_ref().and_then(|body| ErrorCode::from_name(&body.error.error_code));
    match (head.status, code, told) {
        (_, Some(code), Some(told)) if is_full(code) => {
            let mut failure = Failure::new(code, told.error.message);
            if let Some(seconds) = retry_after(&head.headers) {
                failure = failure.retry_after(seconds);
            }
            let over_share = head.headers.get(headers::OVER_SHARE).is_some_and(|value| value == "true");
            Outcome::Full(Refusal { failure, over_share })
        }
        (status, ..) if status.is_client_error() => {
            Outcome::Declined(Answer { head, first: bytes, rest: None, code })
        }
        (_, Some(code), Some(told)) => Outcome::Failed(Failure::new(code, told.error.message)),
        (status, ..) => {
            let failure = Failure::new(ErrorCode::UpstreamFailed, "A pod failed; try again.");
            Outcome::Failed(failure.because(format!("a pod answered {status}")))
        }
    }
}

/// The pod refused at once and has done no work; another one may have room.
fn is_full(code: ErrorCode) -> bool {
    use ErrorCode::{Draining, ModelNotReady, SystemBusy, TooManyRequests};
    matches!(code, TooManyRequests | SystemBusy | Draining | ModelNotReady)
}

fn retry_after(headers: &HeaderMap) -> Option<u32> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let message = "The connection inside the fleet broke; try again.";
    let chain: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    Failure::new(ErrorCode::UpstreamFailed, message).because(chain.join(": "))
}
