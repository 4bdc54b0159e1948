//! A pair as it waits to be judged: audio in bytes.

use std::fmt;

use ttsfleet_wire::judge::{Audio, Pair, Session, Side};

/// Longest text that is compared, in characters.
const MOST_TEXT_CHARS: usize = 5000;

/// One text, and what both sides made of it. Its `Debug` form shows neither.
#[derive(Clone)]
pub struct Job {
    /// The text.
    pub text: String,
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
    /// Milliseconds to the first of it.
    pub first_audio_ms: f64,
    /// And to the last.
    pub total_ms: f64,
}

/// Why a pair is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// The stable side was spoken by another model than the stable one.
    OtherBaseline,
    /// The candidate's side was spoken by another model than the candidate.
    OtherCandidate,
    /// The text is too long.
    TextTooLong,
}

impl Job {
    /// Takes a pair from the wire.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn from_pair(pair: Pair, session: &Session) -> Result<Self, Unfit> {
        let Pair { text, baseline, candidate } = pair;
        check(&baseline, session.baseline_digest.as_deref(), Unfit::OtherBaseline)?;
        check(&candidate, session.candidate_digest.as_deref(), Unfit::OtherCandidate)?;
        if text.chars().count() > MOST_TEXT_CHARS {
            return Err(Unfit::TextTooLong);
        }
        Ok(Self { text, baseline: spoken(baseline), candidate: spoken(candidate), from_prompt: false })
    }

    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let audio = |side: &Option<Spoken>| side.as_ref().map_or(0, |spoken| spoken.audio.capacity());
        self.text.len() + audio(&self.baseline) + audio(&self.candidate)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Job").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

fn check(side: &Side, under_test: Option<&str>, unfit: Unfit) -> Result<(), Unfit> {
    match (side, under_test) {
        (Side::Audio { digest, .. }, Some(under_test)) if digest != under_test => Err(unfit),
        _ => Ok(()),
    }
}

fn spoken(side: Side) -> Option<Spoken> {
    match side {
        Side::Failed { .. } => None,
        Side::Audio {
            content_type,
            sample_rate,
            audio: Audio(audio),
            first_audio_ms,
            total_ms,
            digest: _,
        } => Some(Spoken { content_type, sample_rate, audio, first_audio_ms, total_ms }),
    }
}
