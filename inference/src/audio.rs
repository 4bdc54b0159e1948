//! Audio formats: samples in, bytes out, as they come.

mod flac;
mod mp3;
mod opus;
mod pcm;
pub(crate) mod wav;

/// A format that `response_format` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// MPEG layer III, 96 kbit/s or the nearest that the sample rate allows.
    Mp3,
    /// Opus in Ogg, 32 kbit/s.
    Opus,
    /// FLAC, 16 bits.
    Flac,
    /// RIFF, 16 bits.
    Wav,
    /// Bare samples, 16 bits, little endian.
    Pcm,
}

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

impl Format {
    /// All formats built in; the first is the default.
    pub const ALL: [Self; 5] = [Self::Mp3, Self::Opus, Self::Flac, Self::Wav, Self::Pcm];

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The name, as in `response_format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    /// Whether it can hold audio of this rate.
    pub(crate) fn takes(self, sample_rate: u32) -> bool {
        match self {
            Self::Mp3 => {
                [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000].contains(&sample_rate)
            }
            Self::Opus => [8_000, 12_000, 16_000, 24_000, 48_000].contains(&sample_rate),
            Self::Flac | Self::Wav | Self::Pcm => true,
        }
    }

    /// The media type of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/ogg; codecs=opus",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
        }
    }

    /// An encoder. WAV's makes bare samples: its header holds a length, which
    /// whoever sends the file knows or not ([`wav::header`]).
    pub(crate) fn encoder(self, sample_rate: u32) -> Result<Box<dyn Encoder>, EncodeError> {
        Ok(match self {
            Self::Mp3 => Box::new(mp3::Mp3::new(sample_rate)),
            Self::Opus => Box::new(opus::Opus::new(sample_rate)?),
            Self::Flac => Box::new(flac::Flac::new(sample_rate)?),
            Self::Wav | Self::Pcm => Box::new(pcm::Pcm),
        })
    }
}

/// Nearest 16-bit value; what is out of range is clipped.
fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16
}
