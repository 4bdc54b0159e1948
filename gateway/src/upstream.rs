//! One attempt over HTTP.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, Response, Uri, header, response},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::{ErrorBody, ErrorCode};

use crate::attempts::Outcome;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Less than a pod keeps an idle connection, so that it is we who close it.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);
/// What is read ahead of a caller that is slow to take it.
const READ_AHEAD: usize = 32 << 10;
/// Longest error body that is read.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// The client that all calls share.
pub struct Upstream(Client<HttpConnector, Full<Bytes>>);

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

/// A pod's answer, from its first bytes on.
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    /// The first bytes; empty only if the pod declined.
    pub first: Bytes,
    /// The rest, still to come; none if that was all.
    pub rest: Option<Incoming>,
    /// Why the pod declined, if it did and said so.
    pub code: Option<ErrorCode>,
    /// When the pod was asked.
    pub asked: Instant,
    /// From then to the first bytes.
    pub first_after: Duration,
}

/// Why there is no answer at all.
pub(crate) struct Unsent {
    pub(crate) failure: Failure,
    /// Whether there was a connection.
    pub(crate) connected: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .http1_max_buf_size(READ_AHEAD)
            .build(connector);
        Self(client)
    }
}

impl Upstream {
    /// Sends the request and waits for the answer's head.
    pub(crate) async fn send(
        &self,
        forward: &Forward,
        pod: SocketAddr,
    ) -> Result<Response<Incoming>, Unsent> {
        let request = build(forward, pod).map_err(|failure| Unsent { failure, connected: true })?;
        let sent = self.0.request(request).await;
        sent.map_err(|error| Unsent { failure: broken(&error), connected: !error.is_connect() })
    }

    /// Sends the request to a pod and waits for its first audio.
    pub async fn attempt(&self, forward: &Forward, pod: SocketAddr, time: Duration) -> Outcome<Answer> {
        let attempt = async {
            let asked = Instant::now();
            match self.send(forward, pod).await {
                Ok(response) => read(response, asked).await,
                Err(Unsent { failure, connected: false }) => Outcome::Unreachable(failure),
                Err(Unsent { failure, connected: true }) => Outcome::Failed(failure),
            }
        };
        tokio::time::timeout(time, attempt).await.unwrap_or_else(|_| {
            let message = "The fleet had no audio in time; try again, or send a shorter text.";
            let cause = format!("no audio from {pod} within {} ms", time.as_millis());
            Outcome::Failed(Failure::new(ErrorCode::UpstreamTimeout, message).because(cause))
        })
    }
}

fn build(forward: &Forward, pod: SocketAddr) -> Result<Request<Full<Bytes>>, Failure> {
    let uri: Result<Uri, _> = format!("http://{pod}{}", forward.path).parse();
    let uri = uri.map_err(|error| broken(&error))?;
    let mut request = Request::new(Full::new(forward.body.clone()));
    *request.method_mut() = forward.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = forward.headers.clone();
    Ok(request)
}

async fn read(response: Response<Incoming>, asked: Instant) -> Outcome<Answer> {
    let (head, mut body) = response.into_parts();
    if !head.status.is_success() {
        return judge(head, body, asked).await;
    }
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                let Ok(first) = frame.into_data() else { continue };
                if !first.is_empty() {
                    let (rest, first_after) = (Some(body), asked.elapsed());
                    return Outcome::Answer(Answer { head, first, rest, code: None, asked, first_after });
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
async fn judge(head: response::Parts, body: Incoming, asked: Instant) -> Outcome<Answer> {
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
            Outcome::Full(failure)
        }
        (status, ..) if status.is_client_error() => {
            let first_after = asked.elapsed();
            Outcome::Declined(Answer { head, first: bytes, rest: None, code, asked, first_after })
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

fn retry_after(headers: &HeaderMap) -> Option<u16> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let message = "The connection inside the fleet broke; try again.";
    let chain: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    Failure::new(ErrorCode::UpstreamFailed, message).because(chain.join(": "))
}
