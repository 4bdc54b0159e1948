//! The text's bounds: a request as sent becomes one that may be forwarded.

use axum::http::HeaderValue;
use bytes::Bytes;
use ttsfleet_serving::Failure;
use ttsfleet_wire::{error::ErrorCode, names::Meant, route::OnOverflow, speech::SpeechRequest};

use crate::{route::Route, truncate::truncate};

/// A request as it came.
#[derive(Debug)]
pub struct Sent {
    body: Bytes,
    request: SpeechRequest,
    /// Unicode characters of its text.
    pub input_chars: usize,
}

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
    /// Whether it is long and forwarded whole, to wait for shorter ones.
    pub is_long: bool,
    /// What its names mean in this fleet, where the model has none of them.
    pub meant: Meant,
    /// Its fields that mean nothing here.
    pub ignored: Option<HeaderValue>,
}

impl Limited {
    /// Whether the text was cut.
    pub fn is_truncated(&self) -> bool {
        self.spoken_chars < self.input_chars
    }
}

impl Sent {
    /// Reads a body. Values that only a pod can judge, such as voices, are left
    /// to it.
    ///
    /// # Errors
    /// When it is not a speech request.
    pub fn read(body: Bytes) -> Result<Self, Failure> {
        let request = SpeechRequest::parse(&body)?;
        let input_chars = request.input.chars().count();
        Ok(Self { body, request, input_chars })
    }

    /// For fleets that ignore nothing.
    ///
    /// # Errors
    /// When a field means nothing here.
    pub fn ignores_nothing(&self) -> Result<(), Failure> {
        Ok(self.request.ignores_nothing()?)
    }

    /// Holds the text to the route's limits. One that is too long for its blanks
    /// alone is not long: nothing of it would be lost.
    ///
    /// # Errors
    /// When it is longer than is ever spoken, or too long under Reject.
    pub fn limit(&self, route: &Route, under_pressure: impl FnOnce() -> bool) -> Result<Limited, Failure> {
        let (sent, most) = (self.input_chars, route.max_input_chars);
        if sent > route.hard_limit {
            return Err(too_long(sent, route.hard_limit));
        }
        let is_long = sent > most && self.request.input.trim().chars().count() > most;
        match route.on_overflow {
            _ if !is_long => self.whole(route, false),
            OnOverflow::Reject => Err(too_long(sent, most)),
            OnOverflow::Auto if !under_pressure() => self.whole(route, true),
            OnOverflow::Auto | OnOverflow::Truncate => self.cut(route),
        }
    }

    /// The body as it was sent, unless it has words of which the fleet says more
    /// than the caller.
    fn whole(&self, route: &Route, is_long: bool) -> Result<Limited, Failure> {
        let body = match route.lexicon.with(&self.request.lexicon, &self.request.input) {
            None => self.body.clone(),
            Some(lexicon) => written(&SpeechRequest { lexicon, ..self.request.clone() })?,
        };
        Ok(self.limited(route, body, self.input_chars, is_long))
    }

    fn cut(&self, route: &Route) -> Result<Limited, Failure> {
        let mut request = self.request.clone();
        request.input = truncate(request.input.trim_start(), route.max_input_chars).to_owned();
        if let Some(lexicon) = route.lexicon.with(&request.lexicon, &request.input) {
            request.lexicon = lexicon;
        }
        let spoken_chars = request.input.chars().count();
        Ok(self.limited(route, written(&request)?, spoken_chars, false))
    }

    fn limited(&self, route: &Route, body: Bytes, spoken_chars: usize, is_long: bool) -> Limited {
        let SpeechRequest { model, voice, response_format, stream_format, ignored, .. } = &self.request;
        let voice = voice.as_ref().map(|voice| voice.name());
        let ignored = HeaderValue::from_str(&ignored.join(", ")).ok();
        Limited {
            body,
            format: response_format.clone(),
            names_version: model.as_ref().is_some_and(|model| model.contains('@')),
            events: stream_format.as_deref() == Some("sse"),
            input_chars: self.input_chars,
            spoken_chars,
            is_long,
            meant: route.api.aliases.meant(model.as_deref(), voice),
            ignored: ignored.filter(|ignored| !ignored.is_empty()),
        }
    }
}

fn written(request: &SpeechRequest) -> Result<Bytes, Failure> {
    let body = serde_json::to_vec(request).map_err(|error| {
        Failure::new(ErrorCode::InvalidJson, "The body cannot be forwarded.").because(error.to_string())
    })?;
    Ok(body.into())
}

fn too_long(sent: usize, most: usize) -> Failure {
    let message = format!("`input` has {sent} characters; at most {most} are spoken at once.");
    Failure::new(ErrorCode::InputTooLong, message).of("input")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::{gateway::MOST_BODY_BYTES, route::sample};

    fn limited_under(
        pressure: bool,
        most: u32,
        on_overflow: OnOverflow,
        request: &Value,
    ) -> Result<Limited, Failure> {
        let mut table = sample();
        table.limits.max_input_chars = most;
        table.limits.on_overflow = on_overflow;
        table.limits.hard_limit = 20;
        Sent::read(request.to_string().into())?.limit(&Route::new(table).unwrap(), || pressure)
    }

    fn limited(most: u32, on_overflow: OnOverflow, request: &Value) -> Result<Limited, Failure> {
        limited_under(false, most, on_overflow, request)
    }

    #[test]
    fn a_text_that_fits_is_forwarded_byte_by_byte() {
        let request = json!({"input": "Hello.", "speed": 1.25, "response_format": "flac"});
        let limited = limited(6, OnOverflow::Truncate, &request).unwrap();
        assert_eq!(limited.body, request.to_string());
        assert_eq!(limited.format.as_deref(), Some("flac"));
        assert!(!limited.is_truncated() && !limited.is_long);
    }

    #[test]
    fn words_of_the_fleets_lexicon_go_with_the_text_and_the_callers_own_come_first() {
        let sent = |request: &Value, most| -> Value {
            let limited = limited(most, OnOverflow::Truncate, request).unwrap();
            serde_json::from_slice(&limited.body).unwrap()
        };
        let request = json!({"input": "KUBECTL. A gif.", "speed": 1.25, "user": "me"});
        let both = json!({"kubectl": "cube control", "GIF": "/dʒɪf/"});
        assert_eq!(sent(&request, 20), json!({"input": "KUBECTL. A gif.", "speed": 1.25, "lexicon": both}));
        let cut = json!({"input": "KUBECTL.", "speed": 1.25, "lexicon": {"kubectl": "cube control"}});
        assert_eq!(sent(&request, 10), cut, "what is cut off is not said");

        let request = json!({"input": "KUBECTL. A gif.", "lexicon": {"Gif": "/ɡɪf/"}});
        let mixed = json!({"kubectl": "cube control", "Gif": "/ɡɪf/"});
        assert_eq!(sent(&request, 20)["lexicon"], mixed);
    }

    #[test]
    fn a_longer_one_is_cut_and_all_else_is_kept() {
        let request = json!({"input": "One. Two.", "voice": "heart", "stream_format": "sse"});
        let limited = limited(5, OnOverflow::Truncate, &request).unwrap();
        assert!(limited.is_truncated() && limited.events && !limited.is_long);
        assert_eq!((limited.input_chars, limited.spoken_chars), (9, 4));
        let sent: Value = serde_json::from_slice(&limited.body).unwrap();
        assert_eq!(sent, json!({"input": "One.", "voice": "heart", "stream_format": "sse"}));
    }

    #[test]
    fn under_auto_a_longer_one_is_spoken_whole_but_for_times_of_pressure() {
        let request = json!({"input": "One. Two."});
        let whole = limited_under(false, 5, OnOverflow::Auto, &request).unwrap();
        assert!(whole.is_long && !whole.is_truncated());
        assert_eq!(whole.body, request.to_string());
        let cut = limited_under(true, 5, OnOverflow::Auto, &request).unwrap();
        assert!(!cut.is_long && cut.is_truncated());
        let short = limited_under(true, 9, OnOverflow::Auto, &request).unwrap();
        assert!(!short.is_long && !short.is_truncated());
    }

    #[test]
    fn under_reject_a_longer_one_is_refused_with_its_length() {
        let failure = limited(5, OnOverflow::Reject, &json!({"input": "One. Two."})).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InputTooLong);
        assert!(failure.message.contains("9 characters; at most 5"), "{}", failure.message);
    }

    #[rstest]
    fn what_is_longer_than_is_ever_spoken_is_refused_whatever_the_rule(
        #[values(OnOverflow::Auto, OnOverflow::Truncate, OnOverflow::Reject)] rule: OnOverflow,
    ) {
        let failure = limited(5, rule, &json!({"input": "x".repeat(21)})).unwrap_err();
        assert_eq!((failure.code, failure.param), (ErrorCode::InputTooLong, Some("input")));
        assert!(failure.message.contains("21 characters; at most 20"), "{}", failure.message);
    }

    #[rstest]
    fn blanks_around_a_text_do_not_make_it_too_long(
        #[values("One. Two. ", "One. Two.\r\n", "\n\n One. Two.")] text: &str,
        #[values(OnOverflow::Auto, OnOverflow::Truncate, OnOverflow::Reject)] rule: OnOverflow,
    ) {
        let request = json!({"input": text});
        let limited = limited(9, rule, &request).unwrap();
        assert!(!limited.is_truncated() && !limited.is_long);
        assert_eq!(limited.body, request.to_string());
    }

    #[test]
    fn the_longest_text_fits_a_body_however_it_is_escaped() {
        let text = r"\ud83d\ude00".repeat(4096);
        let voice = "x".repeat(64);
        let body = format!(r#"{{"model": "{voice}", "voice": "{voice}", "input": "{text}", "speed": 1.0}}"#);
        assert_eq!(Sent::read(body.clone().into()).unwrap().input_chars, 4096);
        assert!(body.len() <= MOST_BODY_BYTES, "{}", body.len());
    }
}
