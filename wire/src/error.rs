//! The error catalogue: one table for every binary.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller's request is at fault (4xx).
    Business,
    /// The service cannot serve at the moment (5xx).
    System,
    /// The model failed (5xx).
    Model,
}

/// One line of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEntry {
    /// Stable name, used in bodies, logs and metrics.
    pub code: &'static str,
    /// Who has to act.
    pub class: ErrorClass,
    /// HTTP status.
    pub status: u16,
    /// The `type` that OpenAI's clients read.
    pub openai_type: &'static str,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
    /// When it happens, for the documentation.
    pub meaning: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident: $class:ident, $status:literal, $openai:literal, $retryable:literal, $meaning:literal;)+) => {
        /// Every error a ttsfleet server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.entry().code == name)
            }

            /// The code's line in the catalogue.
            pub const fn entry(self) -> ErrorEntry {
                match self {
                    $(Self::$variant => ErrorEntry {
                        code: stringify!($variant),
                        class: ErrorClass::$class,
                        status: $status,
                        openai_type: $openai,
                        retryable: $retryable,
                        meaning: $meaning,
                    },)+
                }
            }
        }
    };
}

catalogue! {
    InvalidJson: Business, 400, "invalid_request_error", false, "The body is not a JSON object of the documented shape.";
    InvalidParameter: Business, 400, "invalid_request_error", false, "A parameter is missing or out of its range.";
    UnsupportedFormat: Business, 400, "invalid_request_error", false, "The response format is not built in.";
    UnknownVoice: Business, 400, "invalid_request_error", false, "The model has no such voice.";
    UnsupportedText: Business, 400, "invalid_request_error", false, "The text has letters that the voice cannot speak, and the server is told to refuse such texts.";
    InputTooLong: Business, 400, "invalid_request_error", false, "The text is longer than the server takes.";
    Unauthorized: Business, 401, "authentication_error", false, "The API key is missing or unknown.";
    ModelNotFound: Business, 404, "invalid_request_error", false, "This server does not serve the model asked for.";
    NotFound: Business, 404, "invalid_request_error", false, "No such path.";
    MethodNotAllowed: Business, 405, "invalid_request_error", false, "The path does not take this method.";
    NoPreviousModel: Business, 409, "invalid_request_error", false, "The server keeps no model that it could go back to.";
    RequestTimeout: Business, 408, "invalid_request_error", true, "The body did not arrive in time.";
    ClientTooSlow: Business, 408, "invalid_request_error", true, "The client read the answer too slowly, and it was cut off.";
    WrongModel: Business, 409, "invalid_request_error", false, "The audio is not of the models that the judge compares.";
    BodyTooLarge: Business, 413, "invalid_request_error", false, "The body is larger than the server reads.";
    UnsupportedMediaType: Business, 415, "invalid_request_error", false, "The body is not declared as JSON.";
    TooManyRequests: Business, 429, "rate_limit_error", true, "As many requests as allowed are in progress.";
    RateLimited: Business, 429, "rate_limit_error", true, "The caller has sent as many requests in the last minute as it may.";
    QuotaExceeded: Business, 429, "insufficient_quota", false, "The caller has had as many characters spoken today as it may.";
    Draining: System, 503, "server_error", true, "The server is stopping and takes no new requests.";
    SystemBusy: System, 503, "server_error", true, "Too much work is waiting; all new requests are refused for some seconds.";
    NoEndpoint: System, 503, "server_error", true, "No pod of the fleet can take the request.";
    UpstreamFailed: System, 502, "server_error", true, "Every attempt failed, the last one by a broken connection or an unusable answer.";
    UpstreamTimeout: System, 504, "server_error", true, "No attempt had audio in time.";
    ModelNotReady: Model, 503, "server_error", true, "The model is still loading.";
    InferenceFailed: Model, 500, "server_error", true, "The model failed on this text.";
}

/// The body of every error answer, also of a streamed `error` event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The one field OpenAI's clients look for.
    pub error: ErrorDetail,
}

/// What went wrong, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// [`ErrorEntry::code`].
    pub error_code: String,
    /// A sentence that says what to do instead. Never holds the user's text.
    pub message: String,
    /// [`ErrorEntry::openai_type`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameter at fault, if one is.
    pub param: Option<String>,
    /// Whether the same request may succeed when sent again.
    pub retryable: bool,
    /// The request's id, as in the `x-request-id` header.
    pub request_id: String,
}

impl ErrorBody {
    /// The body for one error.
    pub fn new(code: ErrorCode, message: impl Into<String>, param: Option<&str>, request_id: &str) -> Self {
        let entry = code.entry();
        Self {
            error: ErrorDetail {
                error_code: entry.code.to_owned(),
                message: message.into(),
                kind: entry.openai_type.to_owned(),
                param: param.map(str::to_owned),
                retryable: entry.retryable,
                request_id: request_id.to_owned(),
            },
        }
    }
}

const INTRODUCTION: &str = "\
# Errors

Every server of ttsfleet answers an error with one of these codes, as JSON:
`{\"error\": {\"error_code\", \"message\", \"type\", \"param\", \"retryable\", \"request_id\"}}`.
Codes are stable; messages are for people and may change. An answer that fails
after its first byte ends in an `error` event (`stream_format: sse`) or in a
connection cut short of its end, never as if it were complete. This file is made
from `wire/src/error.rs`: `cargo xtask generate` writes it.

";

/// The text of `docs/ERRORS.md`.
pub fn catalogue_markdown() -> String {
    let mut table = String::from(INTRODUCTION);
    table.push_str("| Code | Status | Class | Retry | Meaning |\n|---|---|---|---|---|\n");
    for entry in ErrorCode::ALL.iter().map(|code| code.entry()) {
        let retry = if entry.retryable { "yes" } else { "no" };
        let ErrorEntry { code, status, class, meaning, .. } = entry;
        table.push_str(&format!("| `{code}` | {status} | {class:?} | {retry} | {meaning} |\n"));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_errors_are_4xx_and_all_others_5xx() {
        for entry in ErrorCode::ALL.iter().map(|code| code.entry()) {
            let expected = if entry.class == ErrorClass::Business { 4 } else { 5 };
            assert_eq!(entry.status / 100, expected, "{}", entry.code);
        }
    }

    #[test]
    fn the_printed_catalogue_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ERRORS.md");
        if std::env::var_os("TTSFLEET_UPDATE").is_some() {
            std::fs::write(path, catalogue_markdown()).unwrap();
        }
        let printed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(printed == catalogue_markdown(), "{path} is stale; see its introduction");
    }

    #[test]
    fn the_body_has_the_fields_that_openai_clients_read() {
        let body = ErrorBody::new(ErrorCode::UnknownVoice, "no voice x", Some("voice"), "r1");
        let json = serde_json::to_value(body).expect("serialises");
        assert_eq!(json["error"]["message"], "no voice x");
        assert_eq!(json["error"]["type"], "invalid_request_error");
        assert_eq!(json["error"]["param"], "voice");
        assert_eq!(json["error"]["error_code"], "UnknownVoice");
    }
}
