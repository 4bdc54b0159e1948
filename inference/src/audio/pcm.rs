//! Bare 16-bit samples.

use super::{EncodeError, Encoder, to_i16};

pub(super) struct Pcm;

impl Encoder for Pcm {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.reserve(samples.len() * 2);
        out.extend(samples.iter().flat_map(|&sample| to_i16(sample).to_le_bytes()));
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}
