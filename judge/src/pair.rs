//! What both sides made of a text, as it waits to be judged.

use std::fmt;

/// One text, and what both sides made of it. Its `Debug` form shows neither.
#[derive(Clone)]
pub struct Job {
    /// The text.
    pub text: String,
    /// How it is said, where its letters do not tell.
    pub said: Option<String>,
    /// What the stable model made of it; none if it failed.
    pub baseline: Option<Spoken>,
    /// What the candidate made of it.
    pub candidate: Option<Spoken>,
    /// Whether it is the judge's own prompt.
    pub from_prompt: bool,
}

/// One side's audio.
#[derive(Clone, PartialEq)]
pub struct Spoken {
    /// Media type.
    pub content_type: String,
    /// Samples per second where the audio does not say.
    pub sample_rate: u32,
    /// The audio.
    pub audio: Vec<u8>,
    /// Milliseconds to the first of it, from asking a pod that is connected to,
    /// without the wait for a synthesis thread
    /// ([`ttsfleet_wire::headers::QUEUE_MS`]).
    pub first_audio_ms: f64,
    /// And to the last.
    pub total_ms: f64,
    /// Whether the pod found no words in the text, so that it is silence
    /// ([`ttsfleet_wire::headers::NO_WORDS`]).
    pub no_words: bool,
}

impl Job {
    /// What should be heard.
    pub fn meant(&self) -> &str {
        self.said.as_deref().unwrap_or(&self.text)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let audio = |side: &Option<Spoken>| side.as_ref().map(|spoken| spoken.audio.len());
        formatter
            .debug_struct("Job")
            .field("baseline", &audio(&self.baseline))
            .field("candidate", &audio(&self.candidate))
            .finish_non_exhaustive()
    }
}
