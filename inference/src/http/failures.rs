//! The failures that speech has of its own.

use ttsfleet_models::SpeechError;
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

pub(crate) fn parameter(name: &'static str, message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InvalidParameter, message).of(name)
}

/// The model failed; the cause is for the log only.
pub(crate) fn inference(cause: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::InferenceFailed, "The model failed on this text; try again.").because(cause)
}

pub(crate) fn unknown_voice(known: &[String]) -> Failure {
    let message = format!("This model has no such voice; it speaks with: {}.", known.join(", "));
    Failure::new(ErrorCode::UnknownVoice, message).of("voice")
}

/// The text has letters that the voice would leave out.
pub(crate) fn unspeakable(skipped: usize, languages: &[String]) -> Failure {
    let message = format!(
        "`input` has {skipped} letters that this voice cannot speak; it speaks {}. Leave them out, or \
         write them in its letters.",
        languages.join(", ")
    );
    Failure::new(ErrorCode::UnsupportedText, message).of("input")
}

/// The model's own messages can hold what the user wrote.
pub(crate) fn of_model(error: SpeechError) -> Failure {
    match error {
        SpeechError::UnknownVoice { known, .. } => unknown_voice(&known),
        SpeechError::Inference(cause) => inference(cause),
    }
}
