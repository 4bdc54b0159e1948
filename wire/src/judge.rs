//! What the judge is told, what it is sent, and what it reports.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lexicon::Lexicon;

/// Port of requests and the report.
pub const PORT: u16 = 8080;
/// Port of `/healthz`, `/readyz` and `/metrics`.
pub const HEALTH_PORT: u16 = 8081;
/// Path of `POST` [`MirroredRequest`]: 202 if taken, 429 if there is no room, 400
/// if it is not one that both sides can be asked.
pub const REQUESTS_PATH: &str = "/v1/requests";
/// Path of `GET` [`Report`].
pub const REPORT_PATH: &str = "/v1/report";
/// Longest request taken, in bytes of its JSON.
pub const MOST_REQUEST_BYTES: usize = 64 << 10;
/// Longest text that is compared, in Unicode characters: a minute or so of
/// speech, of two that are listened to.
pub const MOST_TEXT_CHARS: usize = 1000;

/// Path of the file with the [`Session`].
pub const ENV_SESSION: &str = "TTSFLEET_SESSION";
/// Key of the ConfigMap that holds the [`Session`] as JSON.
pub const SESSION_KEY: &str = "session.json";
/// Key of the ConfigMap that a fleet names in `shadow.promptsFrom`: one text a
/// line, and after a tab how it is said where its letters do not tell.
pub const PROMPTS_KEY: &str = "prompts.txt";

/// What is compared with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// Tells one comparison from the next; the report repeats it.
    pub id: String,
    /// Address of pods that serve the stable model, as in
    /// `http://narrator-main-baseline:8080`.
    pub baseline_url: String,
    /// Address of the pods that serve the candidate.
    pub candidate_url: String,
    /// Digest of the stable model; what another one says is not looked at. None:
    /// any.
    pub baseline_digest: Option<String>,
    /// Digest of the candidate; likewise.
    pub candidate_digest: Option<String>,
    /// Texts aimed at.
    pub min_samples: u32,
    /// Confidence of the intervals, in percent, 50 to 99.
    pub confidence_percent: u32,
    /// Texts spoken to both where callers send too few, and one in five pairs in
    /// any case; none: the built-in ones. How a text is said may follow it after
    /// a tab, where its letters do not tell.
    pub prompts: Option<Vec<String>>,
    /// Seconds without a caller's text in which words were heard, after which
    /// prompts fill up. A share of prompts is mixed in however many callers send.
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

/// A caller's request, as far as what is spoken depends on it. The judge puts it
/// to both sides: how long the caller's own answer took, how many attempts it
/// needed and what it sounded like play no role. Its `Debug` form does not show
/// the text.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirroredRequest {
    /// The text, at most [`MOST_TEXT_CHARS`] characters.
    pub text: String,
    /// The model's name, without a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// How fast, as a ratio to the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// How words of it are said.
    #[serde(default, skip_serializing_if = "Lexicon::is_empty")]
    pub lexicon: Lexicon,
}

impl fmt::Debug for MirroredRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MirroredRequest").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// What has been measured so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`Session::id`].
    pub session: String,
    /// Texts compared, each once, however often it came.
    pub samples: u64,
    /// Of these, from prompts.
    pub from_prompts: u64,
    /// Pairs of texts that had been compared before; they count for failures and
    /// times.
    #[serde(default)]
    pub repeated: u64,
    /// Callers' texts that wait to be spoken, and pairs that wait to be judged.
    pub waiting: u64,
    /// Callers' texts refused for want of room.
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
    /// Integrated loudness (ITU-R BS.1770), in LUFS; mean of the differences,
    /// whether louder or quieter, in decibels.
    Loudness,
    /// Level of what lies above 8 kHz relative to the whole, in decibels; mean of
    /// the differences, whether brighter or duller.
    Treble,
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

    #[test]
    fn what_a_user_wants_spoken_is_not_printed() {
        let request = MirroredRequest {
            text: "a secret".to_owned(),
            model: None,
            voice: Some("heart".to_owned()),
            speed: None,
            lexicon: Lexicon::new(),
        };
        assert_eq!(format!("{request:?}"), "MirroredRequest { bytes: 8, .. }");
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(json, r#"{"text":"a secret","voice":"heart"}"#);
        assert_eq!(serde_json::from_str::<MirroredRequest>(&json).unwrap(), request);
    }
}
