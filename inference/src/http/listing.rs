//! What the server can speak with.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use ttsfleet_models::Manifest;
use ttsfleet_serving::{Failure, Record, answer, json};
use ttsfleet_wire::{
    headers::TIER,
    names::Aliases,
    speech::{ModelInfo, ModelList, SpeechModelList, VoiceInfo, VoiceList},
};

use crate::state::App;

/// `GET /v1/models`.
pub(super) async fn models(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    headers: HeaderMap,
) -> Response {
    answer(&record, model_list(&app, &headers).map(|list| json(&list)))
}

/// `GET /v1/audio/models`.
pub(super) async fn speech_models(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    headers: HeaderMap,
) -> Response {
    answer(&record, model_list(&app, &headers).map(|list| json(&SpeechModelList::from(list))))
}

/// `GET /v1/models/{id}`.
pub(super) async fn model(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(
        &record,
        model_list(&app, &headers)
            .and_then(|list| list.one(&id).map(|model| json(&model)).map_err(Failure::from)),
    )
}

/// `GET /v1/audio/voices`.
pub(super) async fn voices(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    headers: HeaderMap,
) -> Response {
    let listed = app.served().map(|served| {
        let Manifest { voices, languages, sample_rate, .. } = served.model().manifest();
        let info = |voice: &String| VoiceInfo {
            id: voice.clone(),
            name: voice.clone(),
            languages: languages.clone(),
            sample_rate: *sample_rate,
            alias_of: None,
        };
        let list = VoiceList { voices: voices.iter().map(info).collect() };
        json(&list.with(&aliases(&headers)))
    });
    answer(&record, listed)
}

fn model_list(app: &App, headers: &HeaderMap) -> Result<ModelList, Failure> {
    let served = app.served()?;
    let Manifest { name, version, .. } = served.model().manifest();
    let info = ModelInfo {
        id: name.clone(),
        object: "model".to_owned(),
        created: served.loaded.created,
        owned_by: "ttsfleet".to_owned(),
        version: version.clone(),
        digest: served.loaded.digest.clone(),
        alias_of: None,
    };
    Ok(ModelList { object: "list".to_owned(), data: vec![info] }.with(&aliases(headers)))
}

/// A gateway in front adds the fleet's own.
fn aliases(headers: &HeaderMap) -> Aliases {
    if headers.contains_key(TIER) { Aliases::default() } else { Aliases::openai() }
}
