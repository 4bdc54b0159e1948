use ttsfleet_models::FolderError;

use crate::MAX_SECONDS;

/// Why a clip was not listened to.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// The weights are not what the listener expects.
    #[error("unusable weights: {0}")]
    Weights(String),
    /// The model folder lacks something, or its files are not what they should be.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is nothing in the clip to listen to.
    #[error("the clip has no samples")]
    Empty,
    /// The clip is longer than any that is listened to.
    #[error("the clip lasts {0:.0} s; at most {MAX_SECONDS} s are listened to")]
    TooLong(f64),
    /// The samples or their rate are not audio.
    #[error("the clip is not audio: {0}")]
    NotAudio(&'static str),
    /// The network failed, or gave what is no number.
    #[error("listening failed: {0}")]
    Inference(String),
}

impl From<candle_core::Error> for HearError {
    fn from(error: candle_core::Error) -> Self {
        Self::Inference(error.to_string())
    }
}
