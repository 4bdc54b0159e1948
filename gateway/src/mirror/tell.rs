//! Tells the judge of a request.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use bytes::Bytes;
use ttsfleet_wire::{
    judge::{MirroredRequest, REQUESTS_PATH},
    names::Meant,
    speech::SpeechRequest,
};

use super::{Fate, Mirroring, Ticket};
use crate::upstream::Forward;

/// How long the judge may take to take a request.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells the judge of the request with this body.
pub(super) async fn tell(mut ticket: Ticket, body: Bytes, meant: Meant) {
    ticket.fate = match mirrored(&body, &meant) {
        Some(body) => post(&ticket.mirroring, body).await,
        None => Fate::JudgeRefused,
    };
}

/// What the judge is told: of a caller's request, what decides what is spoken.
/// The format is the judge's to choose. It asks pods itself, to which nobody says
/// what the fleet's own names mean.
fn mirrored(body: &[u8], meant: &Meant) -> Option<Bytes> {
    let SpeechRequest { model, input: text, voice, speed, lexicon, .. } = SpeechRequest::parse(body).ok()?;
    let model = model.filter(|_| !meant.served_model);
    let named = voice.as_ref().map(|voice| voice.name());
    let voice = meant.voice.as_deref().filter(|voice| !voice.is_empty()).or(named).map(str::to_owned);
    serde_json::to_vec(&MirroredRequest { text, model, voice, speed, lexicon }).ok().map(Bytes::from)
}

async fn post(mirroring: &Mirroring, body: Bytes) -> Fate {
    let Some(judge) = mirroring.judge.any() else { return Fate::JudgeAway };
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let post = Forward { method: Method::POST, path: REQUESTS_PATH, headers, body };
    let sent = tokio::time::timeout(PATIENCE, mirroring.common.upstream.send(&post, judge.address)).await;
    match sent.map(|answer| answer.map(|answer| answer.status())) {
        Ok(Ok(status)) if status.is_success() => Fate::PassedOn,
        Ok(Ok(StatusCode::TOO_MANY_REQUESTS)) => {
            mirroring.judge_said_full();
            Fate::JudgeFull
        }
        Ok(Ok(status)) if status.is_client_error() => Fate::JudgeRefused,
        _ => Fate::JudgeAway,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_spoken_is_told_and_how_it_is_packed_is_not() {
        let body = json!({
            "model": "hibari", "input": "Hello.", "voice": {"id": "heart"}, "speed": 1.25,
            "response_format": "opus", "stream_format": "sse", "instructions": "",
            "lexicon": {"hello": "hullo"},
        });
        let told = |meant: &Meant| -> Value {
            serde_json::from_slice(&mirrored(body.to_string().as_bytes(), meant).unwrap()).unwrap()
        };
        let lexicon = json!({"hello": "hullo"});
        let meant = Meant { served_model: true, voice: Some("bella".to_owned()) };
        assert_eq!(
            told(&meant),
            json!({"text": "Hello.", "voice": "bella", "speed": 1.25, "lexicon": lexicon})
        );
        let told = told(&Meant::default());
        let expected =
            json!({"text": "Hello.", "model": "hibari", "voice": "heart", "speed": 1.25, "lexicon": lexicon});
        assert_eq!(told, expected);
        assert_eq!(mirrored(b"no request", &Meant::default()), None);
    }
}
