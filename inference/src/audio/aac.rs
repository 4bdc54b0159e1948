//! AAC-LC in ADTS, which begins and ends with any frame.

use syom::{AacError, EncodeOptions, EncodedFrame};

use super::{EncodeError, Encoder, clip};

/// The highest bit rate, and the most bits for each sample, which keeps low
/// rates well under the 6 that a frame can hold.
const BITRATE_BPS: u32 = 64_000;
const BITS_PER_SAMPLE: u32 = 4;

pub(super) struct Aac(syom::Encoder);

impl Aac {
    pub(super) fn new(sample_rate: u32) -> Result<Self, EncodeError> {
        let bitrate = BITRATE_BPS.min(BITS_PER_SAMPLE * sample_rate);
        let options = EncodeOptions::adts().with_bitrate_bps(bitrate);
        syom::Encoder::new(sample_rate, 1, &options).map(Self).map_err(failed)
    }
}

impl Encoder for Aac {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let samples: Vec<f32> = samples.iter().copied().map(clip).collect();
        self.0.feed(&[&samples], |frame| keep(&frame, out)).map_err(failed)?;
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.0.finish(|frame| keep(&frame, out)).map_err(failed)?;
        Ok(())
    }
}

fn keep(frame: &EncodedFrame<'_>, out: &mut Vec<u8>) -> Result<(), AacError> {
    out.extend_from_slice(frame.au);
    Ok(())
}

fn failed(reason: AacError) -> EncodeError {
    EncodeError::new("aac", reason)
}
