use ttsfleet_models::FolderError;

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
    /// The network failed, or gave what is no number.
    #[error("listening failed: {0}")]
    Inference(String),
}
