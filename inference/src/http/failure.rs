//! Errors on their way to the client.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use ttsfleet_models::SpeechError;
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    speech::Refusal,
};

/// A request's failure. Neither message nor cause holds the user's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) param: Option<&'static str>,
    /// For the log, where the message does not say it all.
    pub(crate) cause: Option<String>,
    retry_after: Option<u16>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, cause: None, retry_after: None }
    }

    pub(crate) fn parameter(name: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(name), ..Self::new(ErrorCode::InvalidParameter, message) }
    }

    /// The model failed; the cause is for the log only.
    pub(crate) fn inference(cause: impl Into<String>) -> Self {
        let message = "The model failed on this text; try again.";
        Self { cause: Some(cause.into()), ..Self::new(ErrorCode::InferenceFailed, message) }
    }

    pub(crate) fn of(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    pub(crate) fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody::new(self.code, &self.message, self.param, request_id)
    }

    pub(crate) fn response(&self, request_id: &str) -> Response {
        let mut response = json(&self.body(request_id));
        *response.status_mut() =
            StatusCode::from_u16(self.code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A 200 answer in JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Response {
    // The types are our own and always serialise; an empty body would show it.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

impl From<Refusal> for Failure {
    fn from(Refusal { code, message, param }: Refusal) -> Self {
        Self { param, ..Self::new(code, message) }
    }
}

/// The model's own messages can hold what the user wrote.
impl From<SpeechError> for Failure {
    fn from(error: SpeechError) -> Self {
        match error {
            SpeechError::UnknownVoice { known, .. } => unknown_voice(&known),
            SpeechError::NothingToSpeak => {
                let message = "`input` has nothing to speak: it has no letters and no digits.";
                Self::new(ErrorCode::UnsupportedText, message).of("input")
            }
            SpeechError::UnsupportedScript { languages, .. } => {
                let message =
                    format!("`input` has letters of a script this voice cannot read; it speaks {languages}.");
                Self::new(ErrorCode::UnsupportedText, message).of("input")
            }
            SpeechError::Inference(cause) => Self::inference(cause),
        }
    }
}

pub(super) fn unknown_voice(known: &[String]) -> Failure {
    let message = format!("This model has no such voice; it speaks with: {}.", known.join(", "));
    Failure::new(ErrorCode::UnknownVoice, message).of("voice")
}
