//! What can be heard in audio: words, quality, melody.
//!
//! Audio comes from models that are not trusted yet: it is bounded in length
//! ([`MAX_SECONDS`]) and rate, and refused where it is no audio.

mod clip;
mod decode;
mod error;
mod level;
mod mel;
mod mos;
pub mod prosody;
pub mod whisper;

pub use clip::{Clip, MAX_RATE, MAX_SECONDS, MIN_RATE};
pub use decode::{DecodeError, decode};
pub use error::HearError;
pub use level::Level;
pub use mel::RATE as HEARD_RATE;
pub use mos::{MOS_LICENCE, Mos};
