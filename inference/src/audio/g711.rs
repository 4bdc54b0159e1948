//! Bare samples by µ-law or A-law (ITU-T G.711), 8 bits each.

use super::{EncodeError, Encoder, to_i16};

/// Holds the law.
pub(super) struct G711(pub(super) fn(i16) -> u8);

impl Encoder for G711 {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend(samples.iter().map(|&sample| self.0(to_i16(sample))));
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}
