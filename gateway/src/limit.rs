//! The text's bounds: a request as sent becomes one that may be forwarded.

use bytes::Bytes;
use ttsfleet_serving::Failure;
use ttsfleet_wire::{error::ErrorCode, route::OnOverflow, speech::SpeechRequest};

use crate::{route::Route, truncate::truncate};

/// A request as it is forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct Limited {
    /// The body.
    pub body: Bytes,
    /// Its `response_format`, as named by the caller.
    pub format: Option<String>,
    /// Whether the caller insists on a version of the model.
    pub names_version: bool,
    /// Whether the caller wants events.
    pub events: bool,
    /// Unicode characters of the text as sent.
    pub input_chars: usize,
    /// Unicode characters of the text as forwarded.
    pub spoken_chars: usize,
}

impl Limited {
    /// Whether the text was cut.
    pub fn is_truncated(&self) -> bool {
        self.spoken_chars < self.input_chars
    }
}

/// Reads a body and holds its text to the route's limit. Values that only a pod
/// can judge, such as voices, are left to it.
///
/// # Errors
/// When the body is not a speech request, or its text too long under Reject.
pub fn limit(body: Bytes, route: &Route) -> Result<Limited, Failure> {
    let mut request = SpeechRequest::parse(&body)?;
    let input_chars = request.input.chars().count();
    let most = route.max_input_chars;
    let mut limited = Limited {
        body,
        format: request.response_format.clone(),
        names_version: request.model.as_ref().is_some_and(|model| model.contains('@')),
        events: request.stream_format.as_deref() == Some("sse"),
        input_chars,
        spoken_chars: input_chars,
    };
    if input_chars <= most {
        return Ok(limited);
    }
    if route.on_overflow == OnOverflow::Reject {
        let message = format!("`input` has {input_chars} characters; at most {most} are spoken at once.");
        return Err(Failure::new(ErrorCode::InputTooLong, message).of("input"));
    }
    request.input.truncate(truncate(&request.input, most).len());
    limited.spoken_chars = request.input.chars().count();
    let body = serde_json::to_vec(&request).map_err(|error| {
        Failure::new(ErrorCode::InvalidJson, "The body cannot be forwarded.").because(error.to_string())
    })?;
    limited.body = body.into();
    Ok(limited)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::route::sample;

    fn limited(most: u32, on_overflow: OnOverflow, request: &Value) -> Result<Limited, Failure> {
        let mut table = sample();
        table.limits.max_input_chars = most;
        table.limits.on_overflow = on_overflow;
        limit(request.to_string().into(), &Route::new(table).unwrap())
    }

    #[test]
    fn a_text_that_fits_is_forwarded_byte_by_byte() {
        let request = json!({"input": "Hello.", "speed": 1.25, "response_format": "flac"});
        let limited = limited(6, OnOverflow::Truncate, &request).unwrap();
        assert_eq!(limited.body, request.to_string());
        assert_eq!(limited.format.as_deref(), Some("flac"));
        assert!(!limited.is_truncated());
    }

    #[test]
    fn a_longer_one_is_cut_and_all_else_is_kept() {
        let request = json!({"input": "One. Two.", "voice": "heart", "stream_format": "sse"});
        let limited = limited(5, OnOverflow::Truncate, &request).unwrap();
        assert!(limited.is_truncated() && limited.events);
        assert_eq!((limited.input_chars, limited.spoken_chars), (9, 4));
        let sent: Value = serde_json::from_slice(&limited.body).unwrap();
        assert_eq!(sent, json!({"input": "One.", "voice": "heart", "stream_format": "sse"}));
    }

    #[test]
    fn under_reject_a_longer_one_is_refused_with_its_length() {
        let failure = limited(5, OnOverflow::Reject, &json!({"input": "One. Two."})).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InputTooLong);
        assert!(failure.message.contains("9 characters; at most 5"), "{}", failure.message);
    }
}
