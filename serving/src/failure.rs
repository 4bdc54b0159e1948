//! Errors on their way to the client.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    speech::Refusal,
};

/// A request's failure. Neither message nor cause holds the user's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The catalogue's code.
    pub code: ErrorCode,
    /// What to do instead, for the client.
    pub message: String,
    /// The parameter at fault, if one is.
    pub param: Option<&'static str>,
    /// For the log only: what lies behind it.
    pub cause: Option<String>,
    retry_after: Option<u16>,
}

impl Failure {
    /// A failure with a message for the client.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, cause: None, retry_after: None }
    }

    /// Names the parameter at fault.
    pub fn of(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }

    /// Adds a cause for the log.
    pub fn because(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Says in how many seconds to try again.
    pub fn retry_after(self, seconds: u16) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// In how many seconds to try again, if that was said.
    pub fn retry_after_seconds(&self) -> Option<u16> {
        self.retry_after
    }

    /// The body of the answer.
    pub fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody::new(self.code, &self.message, self.param, request_id)
    }

    /// The answer.
    pub fn response(&self, request_id: &str) -> Response {
        let mut response = json(&self.body(request_id));
        *response.status_mut() =
            StatusCode::from_u16(self.code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { code, message, param }: Refusal) -> Self {
        Self { param, ..Self::new(code, message) }
    }
}

/// A 200 answer in JSON.
pub fn json(value: &impl Serialize) -> Response {
    // The types are our own and always serialise; an empty body would show it.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_when_to_come_back_and_keeps_the_cause_to_itself() {
        let failure = Failure::new(ErrorCode::SystemBusy, "busy").because("inside").retry_after(7);
        let response = failure.response("r1");
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let body = serde_json::to_string(&failure.body("r1")).unwrap();
        assert!(body.contains("r1") && !body.contains("inside"), "{body}");
    }
}
