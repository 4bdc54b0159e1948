//! What writes down what it hears.

mod pocketsphinx;
mod whisper;

use ttsfleet_ears::Clip;

use crate::normalise::Script;

pub use pocketsphinx::{Place, Pocketsphinx};
pub use whisper::{Claims, load as load_whisper};

/// A recogniser. It blocks, and is used by one thread at a time.
pub trait Recogniser: Send {
    /// Whether it hears what is written so.
    fn hears(&self, script: Script) -> bool;

    /// What is said in a clip.
    ///
    /// # Errors
    /// [`RecogniserError`].
    fn transcribe(&mut self, clip: &Clip) -> Result<String, RecogniserError>;
}

/// Why nothing was heard.
#[derive(Debug, thiserror::Error)]
pub enum RecogniserError {
    /// The program could not be started, or broke off.
    #[error("the recogniser {program} does not run: {cause}")]
    Program {
        /// Its path.
        program: String,
        /// What the system said.
        cause: String,
    },
    /// It took far too long.
    #[error("the recogniser gave no answer within {0} s")]
    TooSlow(u64),
    /// The model folder of Whisper cannot be used.
    #[error("the recogniser's model folder cannot be used: {0}")]
    Folder(String),
    /// The network failed.
    #[error("the recogniser failed: {0}")]
    Inference(String),
}
