//! The OpenAI-compatible speech API.

use serde::{Deserialize, Serialize};

/// Body of `POST /v1/audio/speech`. Unknown fields are refused: nothing a
/// caller asks for is silently ignored.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechRequest {
    /// The model's name or `name@version`; whatever the server serves if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The text to speak.
    pub input: String,
    /// The model's default voice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<VoiceChoice>,
    /// `mp3` if absent, as at OpenAI, where built in; else `wav`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<String>,
    /// Speaking rate, 0.25 to 4.0; 1.0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// `audio` (default) or `sse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_format: Option<String>,
    /// Speaking instructions, which OpenAI's newer models take. Not supported:
    /// a value other than empty is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
}

/// A voice by name, in either of the two shapes OpenAI's clients send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
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
