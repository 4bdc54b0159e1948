//! Audio formats: samples in, bytes out, as they come.

mod aac;
mod flac;
mod g711;
pub(crate) mod marks;
mod mp3;
mod opus;
mod pcm;
mod resample;
mod tagged;
#[cfg(test)]
mod tests;
pub(crate) mod wav;

use audio_codec_algorithms::{encode_alaw, encode_ulaw};
use ttsfleet_wire::audio::AudioFormat;

use marks::Marks;

/// An encoder failed; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("the {format} encoder failed: {reason}")]
pub(crate) struct EncodeError {
    format: &'static str,
    reason: String,
}

impl EncodeError {
    fn new(format: &'static str, reason: impl std::fmt::Display) -> Self {
        Self { format, reason: reason.to_string() }
    }
}

/// Turns mono samples into the bytes of one file. Nothing is written before
/// the first sample, so that the first byte means that there is audio.
pub(crate) trait Encoder {
    /// Takes samples and appends the bytes that are ready.
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Appends what is left.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

/// An encoder of that format that takes samples of `own` Hz and sends `sent` Hz,
/// which the format can hold. WAV's makes bare samples: its header holds a length,
/// which whoever sends the file knows or not ([`wav::header`]). The file says what
/// the marks say, where it is one that can.
pub(crate) fn encoder(
    format: AudioFormat,
    own: u32,
    sent: u32,
    marks: Option<&Marks>,
) -> Result<Box<dyn Encoder>, EncodeError> {
    let encoder: Box<dyn Encoder> = match format {
        AudioFormat::Mp3 => tagged(marks, Box::new(mp3::Mp3::new(sent)?))?,
        AudioFormat::Opus => Box::new(opus::Opus::new(sent, marks)?),
        AudioFormat::Aac => tagged(marks, Box::new(aac::Aac::new(sent)?))?,
        AudioFormat::Flac => Box::new(flac::Flac::new(sent, marks)?),
        AudioFormat::Wav | AudioFormat::Pcm => Box::new(pcm::Pcm),
        AudioFormat::Mulaw => Box::new(g711::G711(encode_ulaw)),
        AudioFormat::Alaw => Box::new(g711::G711(encode_alaw)),
    };
    if own == sent { Ok(encoder) } else { Ok(Box::new(resample::Resampled::new(own, sent, encoder)?)) }
}

fn tagged(marks: Option<&Marks>, encoder: Box<dyn Encoder>) -> Result<Box<dyn Encoder>, EncodeError> {
    let Some(marks) = marks else { return Ok(encoder) };
    Ok(Box::new(tagged::Tagged::new(marks, encoder)?))
}

/// What is out of range is clipped; what is no number is silence.
fn clip(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

/// Nearest 16-bit value.
fn to_i16(sample: f32) -> i16 {
    (clip(sample) * f32::from(i16::MAX)).round() as i16
}
