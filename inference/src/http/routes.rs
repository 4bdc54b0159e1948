//! The paths of the speech port.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use ttsfleet_serving::{Observer, Record, openapi, ready, speech_port};
use ttsfleet_wire::openapi::PATH;

use super::{
    listing::{model, models, speech_models, voices},
    speech::speech,
};
use crate::state::App;

pub(crate) fn speech_routes(app: Arc<App>) -> Router {
    let observer: Arc<dyn Observer> = Arc::<App>::clone(&app);
    let paths = Router::new()
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/voices", get(voices))
        .route("/v1/audio/models", get(speech_models))
        .route("/v1/models", get(models))
        .route("/v1/models/{id}", get(model))
        .route("/health", get(health))
        .route("/healthz", get(health))
        .route("/readyz", get(health))
        .route(PATH, get(async || openapi()));
    speech_port(paths, observer).with_state(app)
}

/// For balancers that ask the port that they send traffic to.
async fn health(State(app): State<Arc<App>>, Extension(record): Extension<Arc<Record>>) -> Response {
    record.is_no_request();
    ready(app.unready().into())
}
