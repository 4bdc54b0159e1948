//! The judge's port: requests in, the report out.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware,
    response::Response,
    routing::{get, post},
};
use ttsfleet_serving::{BodyLimits, Failure, Observer, Record, answer, json, read_json_body, track};
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{MOST_REQUEST_BYTES, MOST_TEXT_CHARS, MirroredRequest, REPORT_PATH, REQUESTS_PATH},
    lexicon::{self, MOST_ENTRIES},
};

use crate::{
    judge::Judge,
    metrics::{Fate, Requests},
};

const BODY_LIMITS: BodyLimits = BodyLimits { max_bytes: MOST_REQUEST_BYTES, timeout: Duration::from_secs(5) };

/// The paths.
pub fn routes(judge: Arc<Judge>) -> Router {
    let observer: Arc<dyn Observer> = Arc::new(Requests(Arc::clone(&judge)));
    Router::new()
        .route(REQUESTS_PATH, post(requests))
        .route(REPORT_PATH, get(report))
        .fallback(elsewhere)
        .layer(middleware::from_fn_with_state(observer, track))
        .with_state(judge)
}

async fn requests(
    State(judge): State<Arc<Judge>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    answer(&record, take(&judge, request).await)
}

async fn report(State(judge): State<Arc<Judge>>) -> Response {
    json(&judge.report())
}

async fn elsewhere(Extension(record): Extension<Arc<Record>>) -> Response {
    let message = format!("No such path; there are POST {REQUESTS_PATH} and GET {REPORT_PATH}.");
    answer(&record, Err(Failure::new(ErrorCode::NotFound, message)))
}

async fn take(judge: &Judge, request: Request) -> Result<Response, Failure> {
    if !queue(judge, request).await? {
        judge.drop_one();
        let message = "As many texts wait as there is room for; leave this one out.";
        return Err(Failure::new(ErrorCode::TooManyRequests, message).retry_after(1));
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Has a request wait; whether there was room for it.
async fn queue(judge: &Judge, request: Request) -> Result<bool, Failure> {
    if !judge.inbox.has_room() {
        return Ok(false);
    }
    let (parts, body) = request.into_parts();
    let body = read_json_body(&parts.headers, body, &BODY_LIMITS).await?;
    let request = read(&body).inspect_err(|_| judge.metrics.pair(false, Fate::Refused))?;
    // What was read while others were, too, finds the room taken.
    Ok(judge.inbox.push(request))
}

fn read(body: &[u8]) -> Result<MirroredRequest, Failure> {
    let request: MirroredRequest = serde_json::from_slice(body).map_err(|error| {
        // The parser's own message can hold what a user wants spoken.
        let (line, column) = (error.line(), error.column());
        let message = format!("The body is not a request, at line {line}, column {column}.");
        Failure::new(ErrorCode::InvalidJson, message)
    })?;
    let refused = |message: String| Err(Failure::new(ErrorCode::InvalidParameter, message));
    if request.text.trim().is_empty() || request.text.chars().count() > MOST_TEXT_CHARS {
        return refused(format!("`text` must have 1 to {MOST_TEXT_CHARS} characters."));
    }
    if request.speed.is_some_and(|speed| !speed.is_finite()) {
        return refused("`speed` must be a number.".to_owned());
    }
    if request.model.as_ref().is_some_and(|model| model.contains('@')) {
        return refused("`model` must not name a version: two are compared.".to_owned());
    }
    let is_bad = |(word, said): (&String, &String)| lexicon::read(word, said).is_err();
    if request.lexicon.len() > MOST_ENTRIES || request.lexicon.iter().any(is_bad) {
        return refused(format!("`lexicon` must have {MOST_ENTRIES} good entries at most."));
    }
    Ok(request)
}
