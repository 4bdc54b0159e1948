//! What the names in a request mean where the model has none of them.

use axum::http::HeaderMap;
use ttsfleet_wire::{
    headers::{MODEL_MEANT, SERVED, TIER, VOICE_MEANT},
    names::{Aliases, Meant},
    speech::SpeechRequest,
};

/// What the gateway says that the names mean, as the fleet's spec has it; without a
/// gateway in front, what OpenAI's names do.
pub(super) fn meant(headers: &HeaderMap, request: &SpeechRequest) -> Meant {
    if !headers.contains_key(TIER) {
        let voice = request.voice.as_ref().map(|voice| voice.name());
        return Aliases::openai().meant(request.model.as_deref(), voice);
    }
    Meant {
        served_model: headers.get(MODEL_MEANT).is_some_and(|value| value == SERVED),
        voice: headers.get(VOICE_MEANT).and_then(|value| value.to_str().ok()).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Meant {
        let request = br#"{"input": "hi", "model": "tts-1", "voice": {"id": "alloy"}}"#;
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        meant(&headers.collect(), &SpeechRequest::parse(request).unwrap())
    }

    #[test]
    fn openais_names_are_known_where_no_gateway_says_what_they_mean() {
        let first = Meant { served_model: true, voice: Some(String::new()) };
        assert_eq!(of(&[]), first);
        assert_eq!(of(&[(TIER, "gold")]), Meant::default());
        assert_eq!(of(&[(TIER, "gold"), (MODEL_MEANT, SERVED), (VOICE_MEANT, "")]), first);
        let heart = Meant { served_model: false, voice: Some("heart".to_owned()) };
        assert_eq!(of(&[(TIER, "gold"), (MODEL_MEANT, "other"), (VOICE_MEANT, "heart")]), heart);
    }
}
