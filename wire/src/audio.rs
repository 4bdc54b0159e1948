//! The audio formats that `response_format` names. All audio is mono.

use std::ops::RangeInclusive;

/// What `sample_rate` may ask for, in Hz.
pub const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=48_000;

/// An audio format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioFormat {
    /// MPEG layer III.
    Mp3,
    /// Opus in Ogg (RFC 7845).
    Opus,
    /// AAC-LC in ADTS.
    Aac,
    /// FLAC of 16 bits.
    Flac,
    /// RIFF WAVE of 16 bits.
    Wav,
    /// Bare samples of 16 bits, little endian.
    Pcm,
    /// Bare samples by µ-law (ITU-T G.711), 8 bits.
    Mulaw,
    /// Bare samples by A-law (ITU-T G.711), 8 bits.
    Alaw,
}

/// The rates of MPEG layer III; those of AAC within [`SAMPLE_RATES`] are the same.
const OF_MPEG: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// The rates of Opus (RFC 6716, 2.1.3).
const OF_OPUS: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// The rate of telephone lines.
const TELEPHONE: u32 = 8_000;

impl AudioFormat {
    /// All formats; the first is the default.
    pub const ALL: [Self; 8] =
        [Self::Mp3, Self::Opus, Self::Aac, Self::Flac, Self::Wav, Self::Pcm, Self::Mulaw, Self::Alaw];

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The name, as in `response_format`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
        }
    }

    /// The only rates that it can hold, ascending; none if it holds any of
    /// [`SAMPLE_RATES`].
    pub fn rates(self) -> Option<&'static [u32]> {
        match self {
            Self::Mp3 | Self::Aac => Some(&OF_MPEG),
            Self::Opus => Some(&OF_OPUS),
            Self::Flac | Self::Wav | Self::Pcm | Self::Mulaw | Self::Alaw => None,
        }
    }

    /// The rate, in Hz, of a voice of `own` Hz in this format where none is asked
    /// for: the voice's own if the format holds it, else the next above it, else
    /// the highest. What is for telephones has theirs.
    pub fn rate_for(self, own: u32) -> u32 {
        let highest = *SAMPLE_RATES.end();
        match self.rates() {
            _ if matches!(self, Self::Mulaw | Self::Alaw) => TELEPHONE,
            None => own.clamp(*SAMPLE_RATES.start(), highest),
            Some(rates) => rates.iter().copied().find(|&rate| rate >= own).unwrap_or(highest),
        }
    }

    /// The media type of audio of that rate.
    pub fn content_type(self, sample_rate: u32) -> String {
        match self {
            Self::Mp3 => "audio/mpeg".to_owned(),
            Self::Opus => "audio/ogg; codecs=opus".to_owned(),
            Self::Aac => "audio/aac".to_owned(),
            Self::Flac => "audio/flac".to_owned(),
            Self::Wav => "audio/wav".to_owned(),
            Self::Pcm => "audio/pcm".to_owned(),
            // RFC 4856.
            Self::Mulaw => format!("audio/PCMU;rate={sample_rate}"),
            Self::Alaw => format!("audio/PCMA;rate={sample_rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_keeps_its_rate_where_the_format_holds_it() {
        let rate = |format: AudioFormat, own| format.rate_for(own);
        assert_eq!(rate(AudioFormat::Opus, 24_000), 24_000);
        assert_eq!(rate(AudioFormat::Mp3, 44_100), 44_100);
        assert_eq!(rate(AudioFormat::Opus, 22_050), 24_000, "nothing of it is lost");
        assert_eq!(rate(AudioFormat::Opus, 44_100), 48_000);
        assert_eq!(rate(AudioFormat::Mp3, 96_000), 48_000);
        assert_eq!(rate(AudioFormat::Pcm, 22_050), 22_050);
        assert_eq!(rate(AudioFormat::Mulaw, 24_000), 8_000);
    }

    #[test]
    fn a_format_is_found_by_its_name() {
        for format in AudioFormat::ALL {
            assert_eq!(AudioFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(AudioFormat::from_name("ogg"), None);
    }
}
