//! MP3 of constant bit rate.

use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};

use super::{EncodeError, Encoder};

const BITRATE_KBPS: u32 = 96;

pub(super) struct Mp3 {
    encoder: Mp3Encoder,
    sample_rate: u32,
    tag_skipped: bool,
}

impl Mp3 {
    pub(super) fn new(sample_rate: u32) -> Self {
        let config = Mp3EncoderConfig { bitrate_kbps: BITRATE_KBPS, vbr_quality: None };
        Self { encoder: Mp3Encoder::new(config), sample_rate, tag_skipped: false }
    }

    fn drain(&mut self, out: &mut Vec<u8>) {
        while let Ok(packet) = self.encoder.next_packet() {
            // The first frame states the length, which a stream does not know.
            if std::mem::replace(&mut self.tag_skipped, true) {
                out.extend(packet);
            }
        }
    }
}

impl Encoder for Mp3 {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let pushed = self.encoder.push_pcm_f32(samples, 1, self.sample_rate);
        pushed.map_err(|error| EncodeError::new("mp3", error))?;
        self.drain(out);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encoder.finish();
        self.drain(out);
        Ok(())
    }
}
