//! What can be heard in audio: words, quality, melody.

mod clip;
mod decode;
mod error;
mod mos;
pub mod prosody;
pub mod whisper;

pub use clip::Clip;
pub use decode::{DecodeError, decode};
pub use error::HearError;
pub use mos::Mos;
