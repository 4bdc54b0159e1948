//! The OpenAI-compatible speech API.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::error::ErrorCode;

/// Body of `POST /v1/audio/speech`. Unknown fields are refused: nothing a
/// caller asks for is silently ignored. Read with [`SpeechRequest::parse`],
/// whose refusals do not repeat what the caller sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeechRequest {
    /// The model's name or `name@version`; whatever the server serves if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text to speak.
    pub input: String,
    /// The model's default voice if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceChoice>,
    /// `mp3` if absent, as at OpenAI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<String>,
    /// Speaking rate, 0.25 to 4.0; 1.0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// `audio` (default) or `sse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_format: Option<String>,
    /// Speaking instructions, which OpenAI's newer models take. Not supported:
    /// a value other than empty is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The catalogue's code.
    pub code: ErrorCode,
    /// What to do instead. Never holds text from the body.
    pub message: String,
    /// The field at fault, if one is.
    pub param: Option<&'static str>,
}

const FIELDS: [&str; 7] =
    ["model", "input", "voice", "response_format", "speed", "stream_format", "instructions"];

impl SpeechRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal`] when the body is not JSON or not of this shape. Values are
    /// not judged here: that is for the server that knows its model.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|error| {
            not_json(format!("The body is not valid UTF-8 from byte {} on.", error.valid_up_to()))
        })?;
        let mut fields: Fields = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                return not_json("The body must be a JSON object.".to_owned());
            }
            // The parser's own message can hold text from the body.
            let (line, column) = (error.line(), error.column());
            not_json(format!("The body is not valid JSON at line {line}, column {column}."))
        })?;
        let request = Self {
            model: take_string(&mut fields, "model")?,
            input: take_string(&mut fields, "input")?.ok_or_else(|| {
                bad_value("input", "`input` is missing: it holds the text to speak.".to_owned())
            })?,
            voice: take_voice(&mut fields)?,
            response_format: take_string(&mut fields, "response_format")?,
            speed: take_speed(&mut fields)?,
            stream_format: take_string(&mut fields, "stream_format")?,
            instructions: take_string(&mut fields, "instructions")?,
        };
        match fields.unknown {
            None => Ok(request),
            Some(field) => Err(unknown_field(&field)),
        }
    }
}

/// A body's fields, found without a tree of them: every request comes by here.
#[derive(Default)]
struct Fields {
    /// In the order of [`FIELDS`].
    known: [Option<Value>; FIELDS.len()],
    /// The first of the others, by the alphabet.
    unknown: Option<String>,
}

impl Fields {
    fn take(&mut self, name: &'static str) -> Option<Value> {
        FIELDS.iter().zip(&mut self.known).find(|(field, _)| **field == name)?.1.take()
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value()?;
            match FIELDS.iter().position(|field| *field == name) {
                Some(place) => fields.known[place] = Some(value),
                None if fields.unknown.as_deref().is_none_or(|first| *name < *first) => {
                    fields.unknown = Some(name.into_owned());
                }
                None => {}
            }
        }
        Ok(fields)
    }
}

/// A field's name, borrowed from the body where it is written plainly.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn take_string(fields: &mut Fields, name: &'static str) -> Result<Option<String>, Refusal> {
    match fields.take(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad_value(name, format!("`{name}` must be a string."))),
    }
}

fn take_voice(fields: &mut Fields) -> Result<Option<VoiceChoice>, Refusal> {
    match fields.take("voice") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(VoiceChoice::Name(name))),
        Some(Value::Object(mut voice)) => match voice.remove("id") {
            Some(Value::String(id)) if voice.is_empty() => Ok(Some(VoiceChoice::Id { id })),
            _ => Err(bad_value("voice", "`voice` must be a name or {\"id\": name}.".to_owned())),
        },
        Some(_) => Err(bad_value("voice", "`voice` must be a string.".to_owned())),
    }
}

fn take_speed(fields: &mut Fields) -> Result<Option<f32>, Refusal> {
    match fields.take("speed") {
        None | Some(Value::Null) => Ok(None),
        // A finite f64 may be infinite as f32; whoever checks the range sees that.
        Some(Value::Number(number)) => Ok(number.as_f64().map(|speed| speed as f32)),
        Some(_) => Err(bad_value("speed", "`speed` must be a number.".to_owned())),
    }
}

/// The field is named only if it looks like a field: it might be text.
fn unknown_field(field: &str) -> Refusal {
    let plain = field.len() <= 40 && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let named = if plain { format!("Unknown field `{field}`") } else { "Unknown field".to_owned() };
    let message = format!("{named}; the fields are: {}.", FIELDS.join(", "));
    Refusal { code: ErrorCode::InvalidParameter, message, param: None }
}

fn not_json(message: String) -> Refusal {
    Refusal { code: ErrorCode::InvalidJson, message, param: None }
}

fn bad_value(param: &'static str, message: String) -> Refusal {
    Refusal { code: ErrorCode::InvalidParameter, message, param: Some(param) }
}

/// A voice by name, in either of the two shapes OpenAI's clients send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum VoiceChoice {
    /// `"voice": "heart"`.
    Name(String),
    /// `"voice": {"id": "heart"}`.
    Id {
        /// The voice's name.
        id: String,
    },
}

impl VoiceChoice {
    /// The voice's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Id { id: name } => name,
        }
    }
}

/// `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models served.
    pub data: Vec<ModelInfo>,
}

/// One model served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The model's name.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// Unix seconds when the server loaded it.
    pub created: i64,
    /// Always `ttsfleet`.
    pub owned_by: String,
    /// The model's version.
    pub version: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
}

/// `GET /v1/audio/voices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceList {
    /// The voices, the default one first.
    pub voices: Vec<VoiceInfo>,
}

/// One voice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceInfo {
    /// The name to send as `voice`.
    pub id: String,
    /// BCP 47 tags of the languages it speaks.
    pub languages: Vec<String>,
    /// Samples per second of its audio.
    pub sample_rate: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Refusal {
        SpeechRequest::parse(body.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_voice_comes_by_name_or_by_id() {
        for voice in [r#""heart""#, r#"{"id": "heart"}"#] {
            let body = format!(r#"{{"input": "hi", "voice": {voice}, "speed": null}}"#);
            let request = SpeechRequest::parse(body.as_bytes()).unwrap();
            assert_eq!(request.voice.unwrap().name(), "heart");
            assert_eq!(request.speed, None);
        }
        assert_eq!(refused(r#"{"input": "hi", "voice": {"id": 1}}"#).param, Some("voice"));
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let request = SpeechRequest {
            model: Some("m@1".into()),
            input: "hi".into(),
            voice: Some(VoiceChoice::Name("heart".into())),
            response_format: Some("wav".into()),
            speed: Some(1.5),
            stream_format: Some("sse".into()),
            instructions: Some(String::new()),
        };
        let body = serde_json::to_vec(&request).unwrap();
        assert_eq!(SpeechRequest::parse(&body).unwrap(), request);
    }

    #[test]
    fn refusals_do_not_repeat_the_text() {
        for body in [
            r#"{"input": "secret"#,
            r#"{"input": ["secret"]}"#,
            r#"{"input": "secret", "speed": "secret"}"#,
            r#"{"input": "secret", "voice": {"name": "secret"}}"#,
            r#"{"input": "a", "a secret, told": 1}"#,
            r#""secret""#,
        ] {
            let refusal = refused(body);
            assert!(!refusal.message.contains("secret"), "{}", refusal.message);
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_the_known_ones() {
        let refusal = refused(r#"{"input": "hi", "pitch": 2}"#);
        assert!(refusal.message.contains("`pitch`") && refusal.message.contains("speed"), "{refusal:?}");
    }

    #[test]
    fn of_several_unknown_fields_the_first_by_the_alphabet_is_named() {
        let refusal = refused(r#"{"tempo": 1, "pitch": {"at": [2]}, "input": "hi", "volume": 3}"#);
        assert!(refusal.message.contains("`pitch`"), "{refusal:?}");
    }

    #[test]
    fn of_a_field_that_is_there_twice_the_last_one_counts() {
        let body = r#"{"input": 1, "\u0069nput": "one", "input": "two"}"#;
        assert_eq!(SpeechRequest::parse(body.as_bytes()).unwrap().input, "two");
    }

    #[test]
    fn what_is_no_object_and_what_is_no_json_are_told_apart() {
        for body in [r#""secret""#, "[1]", "7", "null"] {
            assert_eq!(refused(body).message, "The body must be a JSON object.");
        }
        for (body, place) in [("{\n\"input\": }", "line 2, column 10"), ("", "line 1, column 0")] {
            let message = format!("The body is not valid JSON at {place}.");
            assert_eq!(refused(body), not_json(message));
        }
        assert_eq!(refused("{} {}").code, ErrorCode::InvalidJson, "and nothing may follow");
    }
}
