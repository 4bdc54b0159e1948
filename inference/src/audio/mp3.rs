//! MP3 of constant bit rate, frame by frame: the encoder's own front end keeps
//! all frames of 32, 44.1 and 48 kHz until the last, to share bits between them.

use rusty_mp3::{
    encode::{
        Mp3Encode,
        lametag::{ENCODER_DELAY, crc16, frames_for, tag_header},
    },
    encoder_header,
    header::FrameHeader,
};

use super::{EncodeError, Encoder, clip};

const BITRATE_KBPS: u32 = 96;

pub(super) struct Mp3 {
    encoder: Mp3Encode,
    header: FrameHeader,
    pending: Vec<f32>,
    samples: u64,
    frames: u64,
}

impl Mp3 {
    pub(super) fn new(sample_rate: u32) -> Result<Self, EncodeError> {
        let header = encoder_header(sample_rate, 1, BITRATE_KBPS).map_err(failed)?;
        Ok(Self { encoder: Mp3Encode::new(), header, pending: Vec::new(), samples: 0, frames: 0 })
    }

    fn samples_per_frame(&self) -> usize {
        self.header.version.samples_per_frame()
    }

    /// Encodes whole frames of what is pending.
    fn encode(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut pending = std::mem::take(&mut self.pending);
        let mut frames = pending.chunks_exact(self.samples_per_frame());
        for frame in &mut frames {
            if self.frames == 0 {
                out.extend(info_frame(&self.header));
            }
            self.frames += 1;
            out.extend(self.encoder.encode_frame(&self.header, &[frame], None).map_err(failed)?);
        }
        let whole = pending.len() - frames.remainder().len();
        pending.drain(..whole);
        self.pending = pending;
        Ok(())
    }
}

impl Encoder for Mp3 {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.samples += samples.len() as u64;
        self.pending.extend(samples.iter().copied().map(clip));
        self.encode(out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        // Silence pushes the rest out.
        let frames = frames_for(self.samples, ENCODER_DELAY, self.samples_per_frame());
        let left = usize::try_from(frames - self.frames).unwrap_or_default();
        self.pending.resize(left * self.samples_per_frame(), 0.0);
        self.encode(out)
    }
}

/// A silent frame that tells players to leave out the encoder's delay, as LAME
/// writes it. It could tell the length and the padding at the end, too, but those
/// are not known when it is sent.
fn info_frame(stream: &FrameHeader) -> Vec<u8> {
    let header = tag_header(stream);
    let mut frame = header.to_bytes().to_vec();
    frame.resize(frame.len() + header.side_info_len(), 0);
    frame.extend(b"Info");
    frame.extend([0; 4]); // neither frames nor bytes nor places are told
    frame.extend(b"LAMEttsfl"); // players believe a delay after LAME alone
    frame.push(1); // constant bit rate
    frame.extend([0; 11]); // low pass, gains, flags, rate: not told
    let delay_and_no_padding = (ENCODER_DELAY as u32) << 12;
    frame.extend(&delay_and_no_padding.to_be_bytes()[1..]);
    frame.extend([0; 10]); // gain, preset, length and checksum of the music: not told
    frame.extend(crc16(0, &frame).to_be_bytes());
    frame.resize(header.frame_size(), 0);
    frame
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError::new("mp3", reason)
}
