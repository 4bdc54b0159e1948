//! What the server can speak with.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use ttsfleet_models::Manifest;
use ttsfleet_serving::{Record, answer, json};
use ttsfleet_wire::speech::{ModelInfo, ModelList, VoiceInfo, VoiceList};

use crate::state::App;

/// `GET /v1/models`.
pub(super) async fn models(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
) -> Response {
    let listed = app.served().map(|served| {
        let Manifest { name, version, .. } = served.model().manifest();
        let info = ModelInfo {
            id: name.clone(),
            object: "model".to_owned(),
            created: served.loaded.created,
            owned_by: "ttsfleet".to_owned(),
            version: version.clone(),
            digest: served.loaded.digest.clone(),
        };
        json(&ModelList { object: "list".to_owned(), data: vec![info] })
    });
    answer(&record, listed)
}

/// `GET /v1/audio/voices`.
pub(super) async fn voices(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
) -> Response {
    let listed = app.served().map(|served| {
        let Manifest { voices, languages, sample_rate, .. } = served.model().manifest();
        let info = |voice: &String| VoiceInfo {
            id: voice.clone(),
            languages: languages.clone(),
            sample_rate: *sample_rate,
        };
        json(&VoiceList { voices: voices.iter().map(info).collect() })
    });
    answer(&record, listed)
}
