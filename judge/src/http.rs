//! The judge's port: pairs in, the report out.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use tokio::sync::Semaphore;
use ttsfleet_serving::{BodyLimits, Failure, Observer, Record, answer, json, read_json_body, track};
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{MOST_PAIR_BYTES, PAIRS_PATH, Pair, REPORT_PATH},
};

use crate::{
    judge::Judge,
    metrics::{Fate, Requests},
    pair::{Job, Unfit},
};

/// Pairs that are read at once: each may be as large as the largest.
const READ_AT_ONCE: usize = 3;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

struct Port {
    judge: Arc<Judge>,
    places: Semaphore,
    limits: BodyLimits,
}

/// The paths.
pub fn routes(judge: Arc<Judge>) -> Router {
    let observer: Arc<dyn Observer> = Arc::new(Requests(Arc::clone(&judge)));
    let limits = BodyLimits { max_bytes: MOST_PAIR_BYTES, timeout: BODY_TIMEOUT };
    let port = Arc::new(Port { judge, places: Semaphore::new(READ_AT_ONCE), limits });
    Router::new()
        .route(PAIRS_PATH, post(pairs))
        .route(REPORT_PATH, get(report))
        .fallback(elsewhere)
        .layer(middleware::from_fn_with_state(observer, track))
        .with_state(port)
}

async fn pairs(
    State(port): State<Arc<Port>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    answer(&record, take(&port, request).await)
}

async fn report(State(port): State<Arc<Port>>) -> Response {
    json(&port.judge.report())
}

async fn elsewhere(Extension(record): Extension<Arc<Record>>) -> Response {
    let message = format!("No such path; there are POST {PAIRS_PATH} and GET {REPORT_PATH}.");
    answer(&record, Err(Failure::new(ErrorCode::NotFound, message)))
}

async fn take(port: &Port, request: Request) -> Result<Response, Failure> {
    if !queue(port, request).await? {
        port.judge.drop_one();
        let message = "As many pairs wait as there is room for; leave this one out.";
        return Err(Failure::new(ErrorCode::TooManyRequests, message).retry_after(1));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Has a pair wait to be judged; whether there was room for it.
async fn queue(port: &Port, request: Request) -> Result<bool, Failure> {
    // Before the body: reading it is most of the work.
    let Ok(_place) = port.places.try_acquire() else { return Ok(false) };
    if !port.judge.queue.has_room() {
        return Ok(false);
    }
    let (parts, body) = request.into_parts();
    let body = read_json_body(&parts.headers, body, &port.limits).await?;
    let judge = Arc::clone(&port.judge);
    let read = tokio::task::spawn_blocking(move || read(&judge, &body)).await;
    let job = read.unwrap_or_else(|_| Err(unreadable(0, 0))).inspect_err(|_| {
        port.judge.metrics.pair(false, Fate::Refused);
    })?;
    // What was read while others were, too, finds the room taken.
    Ok(port.judge.queue.push(job))
}

fn read(judge: &Judge, body: &Bytes) -> Result<Job, Failure> {
    let pair: Pair =
        serde_json::from_slice(body).map_err(|error| unreadable(error.line(), error.column()))?;
    Job::from_pair(pair, &judge.session).map_err(|unfit| match unfit {
        Unfit::OtherBaseline => other_model("baseline", judge.session.baseline_digest.as_deref()),
        Unfit::OtherCandidate => other_model("candidate", judge.session.candidate_digest.as_deref()),
        Unfit::TextTooLong => Failure::new(ErrorCode::InvalidParameter, "`text` is too long."),
    })
}

/// The parser's own message can hold what a user wants spoken.
fn unreadable(line: usize, column: usize) -> Failure {
    let message = format!("The body is not a pair, at line {line}, column {column}.");
    Failure::new(ErrorCode::InvalidJson, message)
}

fn other_model(side: &str, under_test: Option<&str>) -> Failure {
    let under_test = under_test.unwrap_or_default();
    let message = format!("The {side} was spoken by another model than {under_test}, which is compared.");
    Failure::new(ErrorCode::WrongModel, message)
}
