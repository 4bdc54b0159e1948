//! What the judge is told, what it is sent, and what it reports.

use std::fmt;

use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Port of pairs and the report.
pub const PORT: u16 = 8080;
/// Port of `/healthz`, `/readyz` and `/metrics`.
pub const HEALTH_PORT: u16 = 8081;
/// Path of `POST` [`Pair`]: 202 if taken, 429 if there is no room, 409 if it is
/// not of the models under test.
pub const PAIRS_PATH: &str = "/v1/pairs";
/// Path of `GET` [`Report`].
pub const REPORT_PATH: &str = "/v1/report";
/// Longest pair taken, in bytes of its JSON.
pub const MOST_PAIR_BYTES: usize = 12 << 20;

/// Path of the file with the [`Session`].
pub const ENV_SESSION: &str = "TTSFLEET_SESSION";
/// Key of the ConfigMap that holds the [`Session`] as JSON.
pub const SESSION_KEY: &str = "session.json";
/// Key of the ConfigMap that a fleet names in `shadow.promptsFrom`: one text a line.
pub const PROMPTS_KEY: &str = "prompts.txt";

/// What is compared with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// Tells one comparison from the next; the report repeats it.
    pub id: String,
    /// Address of the pods that serve the stable model, as in `http://narrator-main:8080`.
    pub baseline_url: String,
    /// Address of the pods that serve the candidate.
    pub candidate_url: String,
    /// Digest of the stable model; pairs spoken by another are refused. None: any.
    pub baseline_digest: Option<String>,
    /// Digest of the candidate; likewise.
    pub candidate_digest: Option<String>,
    /// Pairs aimed at: the intervals are tightest there.
    pub min_samples: u32,
    /// Confidence of the intervals, in percent, 50 to 99.
    pub confidence_percent: u32,
    /// Texts spoken to both where callers send too few; none: the built-in ones.
    pub prompts: Option<Vec<String>>,
    /// Seconds without a caller's pair in which words were heard, after which
    /// prompts fill up.
    pub prompt_after_seconds: u32,
    /// What listens.
    pub recogniser: Recogniser,
}

/// What listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Recogniser {
    /// The one in the image: pocketsphinx, English.
    Embedded,
    /// Whisper from a model folder.
    Whisper {
        /// The folder.
        record: crate::model::ModelRecord,
    },
}

/// One text spoken by both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pair {
    /// The text.
    pub text: String,
    /// What the stable model made of it.
    pub baseline: Side,
    /// What the candidate made of it.
    pub candidate: Side,
}

/// What one of the two made of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Side {
    /// It spoke.
    Audio {
        /// Digest of the model that spoke, as its answer says.
        digest: String,
        /// Media type of the audio: wav, pcm, flac or mp3.
        content_type: String,
        /// Samples per second where the audio itself does not say.
        sample_rate: u32,
        /// The audio.
        audio: Audio,
        /// From asking a pod to its first audio, in milliseconds, without the wait
        /// for a synthesis thread ([`crate::headers::QUEUE_MS`]): the two sides
        /// have not equally much to do.
        first_audio_ms: f64,
        /// From asking a pod to its last, likewise.
        total_ms: f64,
    },
    /// It failed; the stable model also where another attempt made up for it, as
    /// the candidate has only one.
    Failed {
        /// Code of the error catalogue, or what happened, in a word.
        code: String,
    },
}

/// Audio: bytes here, base64 in JSON. Megabytes of it are turned into the one or
/// the other as they are written or read, without a text of their own between.
#[derive(Clone, PartialEq, Eq)]
pub struct Audio(pub Vec<u8>);

impl Serialize for Audio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &BASE64_STANDARD))
    }
}

impl<'de> Deserialize<'de> for Audio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64)
    }
}

/// Only its length: the audio is what a user wanted spoken.
impl fmt::Debug for Audio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Audio({} bytes)", self.0.len())
    }
}

struct Base64;

impl de::Visitor<'_> for Base64 {
    type Value = Audio;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("audio in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Audio, E> {
        BASE64_STANDARD.decode(text).map(Audio).map_err(|_| E::custom("the audio is not in base64"))
    }
}

/// What has been measured so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Session::id`].
    pub session: String,
    /// Pairs judged.
    pub samples: u64,
    /// Of these, from prompts.
    pub from_prompts: u64,
    /// Pairs that wait.
    pub waiting: u64,
    /// Pairs refused for want of room.
    pub dropped: u64,
    /// What keeps it from judging, if anything does.
    pub trouble: Option<String>,
    /// One measure for each gate that has a sample.
    pub measures: Vec<Measure>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quantity {
    /// Character error rate, 0 to 1 and beyond; difference candidate − baseline.
    Cer,
    /// Estimated mean opinion score, 1 to 5; difference candidate − baseline.
    Mos,
    /// Distance of the candidate's prosody from the baseline's; the baseline is 0.
    Prosody,
    /// Share of failed requests, 0 to 1; difference candidate − baseline.
    Errors,
    /// Time to the first sound, in milliseconds, 95th percentile: to the first
    /// audio, and then the silence that it begins with. `difference` and its
    /// interval hold the ratio candidate ÷ baseline.
    FirstSound,
    /// Time to the last audio, likewise.
    Latency,
}

/// One quantity, measured in pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// What is measured.
    pub quantity: Quantity,
    /// Pairs it was measured in.
    pub samples: u64,
    /// Of the stable model.
    pub baseline: f64,
    /// Of the candidate.
    pub candidate: f64,
    /// Mean paired difference, or a ratio; see [`Quantity`].
    pub difference: f64,
    /// Lower end of its confidence sequence, valid at every look.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        let baseline = Side::Audio {
            digest: "sha256:a".to_owned(),
            content_type: "audio/wav".to_owned(),
            sample_rate: 24_000,
            audio: Audio(b"stable".to_vec()),
            first_audio_ms: 1.5,
            total_ms: 2.5,
        };
        let candidate = Side::Failed { code: "InferenceFailed".to_owned() };
        Pair { text: "Hello.".to_owned(), baseline, candidate }
    }

    #[test]
    fn audio_is_bytes_here_and_base64_in_json() {
        let text = serde_json::to_string(&pair()).unwrap();
        assert!(text.contains(r#""audio":"c3RhYmxl""#), "{text}");
        assert_eq!(serde_json::from_str::<Pair>(&text).unwrap(), pair());
        let escaped = text.replacen("c3Rh", "\\u00633Rh", 1);
        assert_eq!(serde_json::from_str::<Pair>(&escaped).unwrap(), pair());
    }

    #[test]
    fn what_is_no_base64_is_refused_without_a_word_of_it() {
        let text = serde_json::to_string(&pair()).unwrap().replacen("c3RhYmxl", "a secret", 1);
        let error = serde_json::from_str::<Pair>(&text).unwrap_err().to_string();
        assert!(error.contains("base64") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn audio_is_not_printed() {
        let printed = format!("{:?}", Audio(b"stable".to_vec()));
        assert_eq!(printed, "Audio(6 bytes)");
    }
}
