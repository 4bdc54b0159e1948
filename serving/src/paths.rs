//! What the speech port does around its paths, whichever server it is of.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderValue, header},
    middleware,
    response::Response,
};
use ttsfleet_wire::{error::ErrorCode, openapi::DOCUMENT};

use crate::{Failure, Observer, Record, answer, track};

/// The paths of a speech port, every request tracked, those to other paths and
/// with other methods refused in words.
pub fn speech_port<S: Clone + Send + Sync + 'static>(
    paths: Router<S>,
    observer: Arc<dyn Observer>,
) -> Router<S> {
    paths
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(observer, track))
}

async fn not_found(Extension(record): Extension<Arc<Record>>) -> Response {
    answer(&record, Err(no_such_path()))
}

async fn wrong_method(Extension(record): Extension<Arc<Record>>) -> Response {
    answer(&record, Err(no_such_method()))
}

/// The API's description.
pub fn openapi() -> Response {
    let mut response = Response::new(Body::from(DOCUMENT.as_str()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The refusal of a request to another path than a speech port's.
pub fn no_such_path() -> Failure {
    let message = "No such path; there are POST /v1/audio/speech, and GET /v1/audio/voices, /v1/audio/models, \
                   /v1/models, /v1/models/{id} and /health.";
    Failure::new(ErrorCode::NotFound, message)
}

/// The refusal of a request with a method that its path does not take.
pub fn no_such_method() -> Failure {
    let message = "This path does not take this method; the `allow` header names those it takes.";
    Failure::new(ErrorCode::MethodNotAllowed, message)
}
