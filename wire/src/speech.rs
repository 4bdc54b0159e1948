//! The OpenAI-compatible speech API.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::{
    error::ErrorCode,
    lexicon::{self, Lexicon, MOST_ENTRIES},
    names::Aliases,
};

/// Body of `POST /v1/audio/speech`. Fields that mean nothing here are ignored, and
/// named to the caller. Read with [`SpeechRequest::parse`], whose refusals do not
/// repeat what the caller sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
    #[schemars(range(min = 0.25, max = 4.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// Samples a second of the audio, in Hz; what suits model and format if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// `audio` (default) or `sse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_format: Option<String>,
    /// Words of the text and how they are said: like other words (`"kubectl": "cube
    /// control"`), or in the International Phonetic Alphabet between slashes
    /// (`"GIF": "/dʒɪf/"`).
    #[schemars(extend("maxProperties" = MOST_ENTRIES))]
    #[serde(default, skip_serializing_if = "Lexicon::is_empty")]
    pub lexicon: Lexicon,
    /// Fields that mean nothing here and yet ask for something, in the order of the
    /// alphabet; a name that is none is [`NAMELESS`]. At most [`MOST_IGNORED`].
    #[serde(skip)]
    pub ignored: Vec<String>,
}

/// Stands for a field whose name could be text.
pub const NAMELESS: &str = "?";
/// So many ignored fields are named at most.
pub const MOST_IGNORED: usize = 16;
/// Longest name of a field that is repeated, in bytes.
const LONGEST_NAME: usize = 40;

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

const FIELDS: [&str; 8] =
    ["model", "input", "voice", "response_format", "speed", "sample_rate", "stream_format", "lexicon"];

impl SpeechRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal`] when the body is not JSON or not of this shape, or has a bad
    /// entry of a lexicon. Other values are not judged here: that is for the server
    /// that knows its model.
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
            sample_rate: take_sample_rate(&mut fields)?,
            stream_format: take_string(&mut fields, "stream_format")?,
            lexicon: take_lexicon(&mut fields)?,
            ignored: fields.ignored.into_iter().collect(),
        };
        Ok(request)
    }

    /// For servers that ignore nothing.
    ///
    /// # Errors
    /// [`Refusal`] when a field means nothing here.
    pub fn ignores_nothing(&self) -> Result<(), Refusal> {
        self.ignored.first().map_or(Ok(()), |field| Err(unknown_field(field)))
    }
}

/// A body's fields, found without a tree of them: every request comes by here.
#[derive(Default)]
struct Fields {
    /// In the order of [`FIELDS`].
    known: [Option<Value>; FIELDS.len()],
    /// Names of others that ask for something.
    ignored: BTreeSet<String>,
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
                None if asks(&value) && fields.ignored.len() < MOST_IGNORED => {
                    fields.ignored.insert(shown(&name).to_owned());
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

fn take_sample_rate(fields: &mut Fields) -> Result<Option<u32>, Refusal> {
    let message = "`sample_rate` must be a whole number of Hz, such as 16000.".to_owned();
    match fields.take("sample_rate") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let rate = value.as_u64().and_then(|rate| u32::try_from(rate).ok());
            rate.map(Some).ok_or_else(|| bad_value("sample_rate", message))
        }
    }
}

/// Entries are told by their number: their words may be of the text.
fn take_lexicon(fields: &mut Fields) -> Result<Lexicon, Refusal> {
    let refused = |what: String| Err(bad_value("lexicon", what));
    let entries = match fields.take("lexicon") {
        None | Some(Value::Null) => return Ok(Lexicon::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => {
            return refused(
                "`lexicon` must be an object of words and how they are said, such as {\"kubectl\": \"cube control\"}."
                    .to_owned(),
            );
        }
    };
    let count = entries.len();
    if count > MOST_ENTRIES {
        return refused(format!(
            "`lexicon` has {count} entries; at most {MOST_ENTRIES} are taken: send those whose words are in the text."
        ));
    }
    let mut lexicon = Lexicon::new();
    for (word, pronunciation) in entries {
        let place = lexicon.len() + 1;
        let of = format!("Entry {place} of {count} of `lexicon`, in the order of the alphabet");
        let Value::String(pronunciation) = pronunciation else {
            return refused(format!("{of}: its pronunciation must be a string."));
        };
        if let Err(fault) = lexicon::read(&word, &pronunciation) {
            return refused(format!("{of}: {fault}."));
        }
        lexicon.insert(word, pronunciation);
    }
    Ok(lexicon)
}

/// Whether a field with this value asks for anything.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// A field's name, if it looks like one: it might be text.
fn shown(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain);
    if is_name { name } else { NAMELESS }
}

fn unknown_field(field: &str) -> Refusal {
    let named =
        if field == NAMELESS { "Unknown field".to_owned() } else { format!("Unknown field `{field}`") };
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// The models served.
    pub data: Vec<ModelInfo>,
}

/// One model served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// The model that this is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
}

impl ModelList {
    /// The model of that name.
    ///
    /// # Errors
    /// [`Refusal`] when there is none.
    pub fn one(self, id: &str) -> Result<ModelInfo, Refusal> {
        self.data.into_iter().find(|model| model.id == id).ok_or_else(|| Refusal {
            code: ErrorCode::ModelNotFound,
            message: "There is no model of that name; GET /v1/models lists those there are.".to_owned(),
            param: Some("model"),
        })
    }

    /// The list with these names behind, each of which means the first model.
    pub fn with(mut self, aliases: &Aliases) -> Self {
        let Some(served) = self.data.first().cloned() else { return self };
        let news = aliases.models.iter().filter(|name| self.data.iter().all(|model| model.id != **name));
        let alias = |name: &String| ModelInfo {
            id: name.clone(),
            alias_of: Some(served.id.clone()),
            ..served.clone()
        };
        let news: Vec<_> = news.map(alias).collect();
        self.data.extend(news);
        self
    }
}

/// `GET /v1/audio/models`: the same in the shape of OpenAI-compatible speech
/// servers, which Open WebUI reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpeechModelList {
    /// The models served.
    pub models: Vec<SpeechModel>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpeechModel {
    /// The name to send as `model`.
    pub id: String,
    /// The same, to be shown.
    pub name: String,
}

impl From<ModelList> for SpeechModelList {
    fn from(list: ModelList) -> Self {
        let named = |model: ModelInfo| SpeechModel { name: model.id.clone(), id: model.id };
        Self { models: list.data.into_iter().map(named).collect() }
    }
}

/// `GET /v1/audio/voices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceList {
    /// The voices, the default one first.
    pub voices: Vec<VoiceInfo>,
}

/// One voice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoiceInfo {
    /// The name to send as `voice`.
    pub id: String,
    /// The same, to be shown; servers of before do not say it.
    #[serde(default)]
    pub name: String,
    /// BCP 47 tags of the languages it speaks.
    pub languages: Vec<String>,
    /// Samples per second of its audio.
    pub sample_rate: u32,
    /// The voice that this is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
}

impl VoiceList {
    /// The list with these names behind. One that means a voice that is not there
    /// is left out.
    pub fn with(mut self, aliases: &Aliases) -> Self {
        let is_there = |name: &str| self.voices.iter().find(|voice| voice.id == name);
        let alias = |(name, meant): (&String, &String)| {
            let meant = if meant.is_empty() { self.voices.first() } else { is_there(meant) }?;
            let (id, name, alias_of) = (name.clone(), name.clone(), Some(meant.id.clone()));
            is_there(&id).is_none().then(|| VoiceInfo { id, name, alias_of, ..meant.clone() })
        };
        let news: Vec<_> = aliases.voices.iter().filter_map(alias).collect();
        self.voices.extend(news);
        self
    }
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
    fn lists_tell_names_that_mean_something_behind_those_of_the_model() {
        let voice = |id: &str, alias_of: Option<&str>| VoiceInfo {
            id: id.to_owned(),
            name: id.to_owned(),
            languages: vec!["en-US".to_owned()],
            sample_rate: 24_000,
            alias_of: alias_of.map(str::to_owned),
        };
        let voices = [("alloy", ""), ("sky", "heart"), ("heart", ""), ("gone", "nobody")];
        let voices = voices.map(|(name, meant)| (name.to_owned(), meant.to_owned())).into();
        let aliases = Aliases { models: ["tts-1".to_owned(), "hibari".to_owned()].into(), voices };
        let listed = VoiceList { voices: vec![voice("bella", None), voice("heart", None)] }.with(&aliases);
        let expected = [("bella", None), ("heart", None), ("alloy", Some("bella")), ("sky", Some("heart"))];
        assert_eq!(listed.voices, expected.map(|(id, alias_of)| voice(id, alias_of)));
        assert_eq!(VoiceList { voices: vec![] }.with(&aliases).voices, []);

        let model = ModelInfo {
            id: "hibari".to_owned(),
            object: "model".to_owned(),
            created: 0,
            owned_by: "ttsfleet".to_owned(),
            version: "1".to_owned(),
            digest: String::new(),
            alias_of: None,
        };
        let listed = ModelList { object: "list".to_owned(), data: vec![model.clone()] }.with(&aliases);
        let alias =
            ModelInfo { id: "tts-1".to_owned(), alias_of: Some("hibari".to_owned()), ..model.clone() };
        assert_eq!(listed.data, [model, alias]);
        let names: Vec<_> = SpeechModelList::from(listed).models.into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["hibari", "tts-1"]);
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let request = SpeechRequest {
            model: Some("m@1".into()),
            input: "hi".into(),
            voice: Some(VoiceChoice::Name("heart".into())),
            response_format: Some("wav".into()),
            speed: Some(1.5),
            sample_rate: Some(16_000),
            stream_format: Some("sse".into()),
            lexicon: [("C#".into(), "see sharp".into()), ("GIF".into(), "/dʒɪf/".into())].into(),
            ignored: Vec::new(),
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
            r#"{"input": "secret", "sample_rate": "secret"}"#,
            r#"{"input": "secret", "voice": {"name": "secret"}}"#,
            r#"{"input": "hi", "lexicon": {"secret": "/SECRET secret/"}}"#,
            r#"{"input": "hi", "lexicon": {"secret": ["secret"]}}"#,
            r#""secret""#,
        ] {
            let refusal = refused(body);
            assert!(!refusal.message.contains("secret"), "{}", refusal.message);
        }
    }

    #[test]
    fn a_sample_rate_is_a_whole_number() {
        for bad in ["-8000", "8000.5", "4294967296", "true"] {
            let refusal = refused(&format!(r#"{{"input": "hi", "sample_rate": {bad}}}"#));
            assert_eq!(refusal.param, Some("sample_rate"), "{bad}");
        }
    }

    #[test]
    fn a_lexicon_is_an_object_of_bounded_size_and_a_bad_entry_is_told_by_its_number() {
        let parse = |lexicon: &str| {
            SpeechRequest::parse(format!(r#"{{"input": "hi", "lexicon": {lexicon}}}"#).as_bytes())
        };
        for none in ["null", "{}"] {
            assert_eq!(parse(none).unwrap().lexicon, Lexicon::new(), "{none}");
        }
        for (bad, told) in [
            ("[]", "must be an object"),
            (r#"{"b": "c", "a": 1}"#, "Entry 1 of 2"),
            (r#"{"a": "b", "c": "/B/"}"#, "Entry 2 of 2"),
            (r#"{"?": "b"}"#, "a letter or digit"),
        ] {
            let refusal = parse(bad).unwrap_err();
            assert_eq!((refusal.code, refusal.param), (ErrorCode::InvalidParameter, Some("lexicon")));
            assert!(refusal.message.contains(told), "{}", refusal.message);
        }
        let many = |count: usize| {
            let entries: Vec<_> = (0..count).map(|n| format!(r#""w{n}": "x""#)).collect();
            parse(&format!("{{{}}}", entries.join(",")))
        };
        assert_eq!(many(MOST_ENTRIES).unwrap().lexicon.len(), MOST_ENTRIES);
        assert!(many(MOST_ENTRIES + 1).unwrap_err().message.contains("65 entries; at most 64"));
    }

    #[test]
    fn fields_that_mean_nothing_here_are_named_if_they_ask_for_something() {
        let body = r#"{"input": "hi", "user": "me", "stream": true, "pitch": 2, "a secret": 1, "lang": "",
            "x": null, "tools": [], "extra": {}, "instructions": "Speak softly.", "raw": false}"#;
        let request = SpeechRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.ignored, ["?", "instructions", "pitch", "stream", "user"]);
        let many = (0..100).map(|n| format!(r#","f{n}": 1"#)).collect::<String>();
        let request = SpeechRequest::parse(format!(r#"{{"input": "hi"{many}}}"#).as_bytes()).unwrap();
        assert_eq!(request.ignored.len(), MOST_IGNORED);
    }

    #[test]
    fn who_ignores_nothing_names_a_field_with_the_known_ones() {
        let refused = |body: &str| SpeechRequest::parse(body.as_bytes()).unwrap().ignores_nothing();
        assert_eq!(refused(r#"{"input": "hi", "pitch": null}"#), Ok(()));
        let refusal = refused(r#"{"input": "hi", "pitch": 2}"#).unwrap_err();
        assert!(refusal.message.contains("`pitch`") && refusal.message.contains("speed"), "{refusal:?}");
        let refusal = refused(r#"{"input": "hi", "a secret, told": 2}"#).unwrap_err();
        assert!(!refusal.message.contains("secret"), "{refusal:?}");
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
