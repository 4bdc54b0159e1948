//! The paths of the speech port.

use std::sync::Arc;

use axum::{
    Extension, Router, middleware,
    response::Response,
    routing::{get, post},
};
use ttsfleet_serving::{Failure, Observer, Record, answer, track};
use ttsfleet_wire::error::ErrorCode;

use super::{
    listing::{models, voices},
    speech::speech,
};
use crate::state::App;

pub(crate) fn speech_routes(app: Arc<App>) -> Router {
    let observer: Arc<dyn Observer> = Arc::<App>::clone(&app);
    Router::new()
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/voices", get(voices))
        .route("/v1/models", get(models))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(observer, track))
        .with_state(app)
}

async fn not_found(Extension(record): Extension<Arc<Record>>) -> Response {
    let message = "No such path; there are POST /v1/audio/speech, GET /v1/audio/voices and GET /v1/models.";
    answer(&record, Err(Failure::new(ErrorCode::NotFound, message)))
}

async fn wrong_method(Extension(record): Extension<Arc<Record>>) -> Response {
    let message = "This path does not take this method; the `allow` header names those it takes.";
    answer(&record, Err(Failure::new(ErrorCode::MethodNotAllowed, message)))
}
