//! The paths of the speech port.

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use ttsfleet_serving::{Observer, openapi, speech_port};
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
        .route(PATH, get(async || openapi()));
    speech_port(paths, observer).with_state(app)
}
