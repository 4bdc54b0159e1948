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

/// When to come back after a failure that may pass and says nothing of when, in
/// seconds: clients that look for the header try again only if it is there.
const RETRY_AFTER: u32 = 1;

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
    retry_after: Option<u32>,
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
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// In how many seconds to try again, if that was said.
    pub fn retry_after_seconds(&self) -> Option<u32> {
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
        let otherwise = self.code.entry().retryable.then_some(RETRY_AFTER);
        if let Some(seconds) = self.retry_after.or(otherwise) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        if self.code == ErrorCode::Draining {
            // Another connection may lead to a server that stays.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { code, message, param }: Refusal) -> Self {
        Self { param, ..Self::new(code, message) }
    }
}

/// What keeps an answer out of every cache: one that is not what was asked for
/// must not be given again.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

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

    #[test]
    fn whatever_may_pass_says_when_to_try_again_and_nothing_is_stored() {
        for code in ErrorCode::ALL {
            let response = Failure::new(*code, "on purpose").response("r1");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store", "{code:?}");
            let retried = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retried, code.entry().retryable, "{code:?}");
            let last = response.headers().contains_key(header::CONNECTION);
            assert_eq!(last, *code == ErrorCode::Draining, "{code:?}");
        }
    }
}
