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

use std::ops::ControlFlow;

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
}

/// A text as a model has read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Its sentences, in the model's own spelling. How long they are says how
    /// long they take to say.
    pub lines: Vec<String>,
    /// One of the names in [`Manifest::voices`].
    pub voice: String,
    /// Speaking rate, 0.25 to 4.0.
    pub speed: f32,
}

impl Script {
    /// How much there is to say, in letters of the model's own spelling at its
    /// own pace.
    pub fn weight(&self) -> f64 {
        let letters: usize = self.lines.iter().map(|line| line.chars().count()).sum();
        letters as f64 / f64::from(self.speed)
    }
}

/// Why a text was not spoken. The first three are the caller's to mend.
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
    /// Nothing in the text can be spoken (empty, or punctuation only).
    #[error("the text has nothing to speak")]
    NothingToSpeak,
    /// The text has letters of a script that the voice does not speak.
    #[error("the voice speaks {languages}; it cannot read {sample:?}")]
    UnsupportedScript {
        /// The languages the model does speak.
        languages: String,
        /// The first few offending characters.
        sample: String,
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
    /// with 400 before it is queued.
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
