//! Speech models on candle behind one small trait, [`SpeechModel`].
//!
//! A model arrives as a [`ModelFolder`]: a manifest, safetensors weights and
//! tables. [`load`] turns a verified folder into a model ready to speak.

mod bounds;
#[cfg(feature = "faults")]
mod faults;
mod folder;
pub mod hibari;

pub use folder::{
    FileEntry, FolderError, MANIFEST_NAME, MAX_MANIFEST_BYTES, MAX_MODEL_BYTES, Manifest, ModelFolder,
    sha256_hex, verify,
};

use std::{ops::ControlFlow, time::Duration};

/// Turns a verified folder into a model ready to speak.
///
/// # Errors
/// [`FolderError`]: the family is not known, or a file of it is missing or not
/// what the family expects.
pub fn load(folder: &ModelFolder) -> Result<Box<dyn SpeechModel>, FolderError> {
    match folder.manifest().family.as_str() {
        "hibari" => Ok(Box::new(hibari::Hibari::load(folder)?)),
        #[cfg(feature = "faults")]
        "faulty" => faults::load(folder),
        other => Err(FolderError::UnknownFamily(other.to_owned())),
    }
}

/// One text to be spoken with one voice.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance<'a> {
    /// The text, any length the caller admits; spoken sentence by sentence.
    pub text: &'a str,
    /// One of the names in [`Manifest::voices`].
    pub voice: &'a str,
    /// Speaking rate, 0.25 to 4.0; 1.0 is the voice's own.
    pub speed: f32,
    /// Words of the text that are said otherwise than the model would; of those that
    /// are the same but for their case the first counts.
    pub lexicon: &'a [Entry],
}

/// A word, or several that are one, and how it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it is written, in any case.
    pub word: String,
    /// How it is said.
    pub said: Said,
}

/// How a word is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Like these words.
    Like(String),
    /// In the International Phonetic Alphabet. A word with a sound that the model
    /// does not have is read as it stands.
    Ipa(String),
}

/// A text as a model has read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What is to be heard, in order; never empty.
    pub parts: Vec<Part>,
    /// One of the names in [`Manifest::voices`].
    pub voice: String,
    /// Letters of the text that the model cannot speak, and leaves out.
    pub skipped_chars: usize,
}

/// A part of a [`Script`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A sentence.
    Line {
        /// In the model's own spelling. How long it is says how long it takes to
        /// say.
        spelling: String,
        /// Speaking rate, 0.25 to 4.0.
        speed: f32,
    },
    /// Silence.
    Pause(Duration),
}

impl Script {
    /// How much there is to say, in letters of the model's own spelling at its
    /// own pace.
    pub fn weight(&self) -> f64 {
        let weight = |part: &Part| match part {
            Part::Line { spelling, speed } => spelling.chars().count() as f64 / f64::from(*speed),
            Part::Pause(_) => 0.0,
        };
        self.parts.iter().map(weight).sum()
    }

    /// How long nothing is said, beside what the voice does of its own.
    pub fn silence(&self) -> Duration {
        let silence = |part: &Part| match part {
            Part::Line { .. } => Duration::ZERO,
            Part::Pause(length) => *length,
        };
        self.parts.iter().map(silence).sum()
    }

    /// Whether there are words at all.
    pub fn has_words(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Line { .. }))
    }
}

/// Why a text was not spoken.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    /// The model has no such voice.
    #[error("unknown voice {voice:?}; this model speaks with: {}", known.join(", "))]
    UnknownVoice {
        /// What was asked for.
        voice: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The network failed or gave numbers that are not audio.
    #[error("synthesis failed: {0}")]
    Inference(String),
}

/// Receives audio as it is made: mono samples in −1..1 at the model's sample
/// rate. Answering `Break` cancels the rest.
pub type AudioSink<'a> = dyn FnMut(&[f32]) -> ControlFlow<()> + 'a;

/// A loaded model. Shared by all worker threads; each call runs on the
/// caller's thread.
pub trait SpeechModel: Send + Sync {
    /// What the model says of itself.
    fn manifest(&self) -> &Manifest;

    /// Reads the text, without speaking it: cheap enough to answer a request
    /// with 400 before it is queued. Letters that the model cannot speak are
    /// left out and counted, and a text without words is a short silence.
    ///
    /// # Errors
    /// Any [`SpeechError`] but, as a rule, `Inference`.
    fn read(&self, utterance: &Utterance<'_>) -> Result<Script, SpeechError>;

    /// Speaks what this model has read, piece by piece, into `sink`, and returns
    /// when all is said or the sink has broken off.
    ///
    /// # Errors
    /// [`SpeechError::Inference`]. Audio given to the sink before stays valid.
    fn say(&self, script: &Script, sink: &mut AudioSink<'_>) -> Result<(), SpeechError>;

    /// Reads and says, where nothing comes between the two.
    ///
    /// # Errors
    /// See [`SpeechError`].
    fn speak(&self, utterance: &Utterance<'_>, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        self.say(&self.read(utterance)?, sink)
    }
}
