//! Opus in Ogg, after RFC 7845.

use opus_pure::{Application, MAX_PACKET_BYTES, OggOpusWriter, OpusEncoder, OpusHead, OpusTags};

use super::{EncodeError, Encoder, marks::Marks};

const BITRATE_BPS: i32 = 32_000;
/// Bytes to a page of Ogg: half a second, as a page is heard when it is full.
const PAGE_BYTES: usize = 2_000;

pub(super) struct Opus {
    encoder: OpusEncoder,
    head: OpusHead,
    tags: OpusTags,
    /// None until there is audio.
    writer: Option<OggOpusWriter<Vec<u8>>>,
    pending: Vec<f32>,
    samples: u64,
    frame: usize,
}

impl Opus {
    pub(super) fn new(sample_rate: u32, marks: Option<&Marks>) -> Result<Self, EncodeError> {
        let rate = i32::try_from(sample_rate).map_err(failed)?;
        let mut encoder = OpusEncoder::new(rate, 1, Application::Voip).map_err(failed)?;
        encoder.bitrate_bps = BITRATE_BPS;
        let head = OpusHead::for_encoder(&encoder, sample_rate);
        let mut tags = OpusTags::new();
        for (name, value) in marks.map(Marks::fields).into_iter().flatten() {
            tags.push(name, &value).map_err(failed)?;
        }
        let frame = sample_rate as usize / 50;
        Ok(Self { encoder, head, tags, writer: None, pending: Vec::new(), samples: 0, frame })
    }

    fn writer(&mut self) -> Result<&mut OggOpusWriter<Vec<u8>>, EncodeError> {
        if self.writer.is_none() {
            let writer = OggOpusWriter::with_tags(Vec::new(), self.head.clone(), self.tags.clone());
            let mut writer = writer.map_err(failed)?;
            writer.set_page_target(PAGE_BYTES);
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or_else(|| failed("no writer"))
    }

    /// Encodes one frame; `duration` in samples at 48 kHz where it is not whole.
    fn encode(&mut self, frame: &[f32], duration: Option<u32>) -> Result<(), EncodeError> {
        let mut packet = [0; MAX_PACKET_BYTES];
        let length = self.encoder.encode(frame, self.frame, &mut packet).map_err(failed)?;
        let packet = &packet[..length];
        let writer = self.writer()?;
        match duration {
            None => writer.write_packet(packet),
            Some(duration) => writer.write_packet_with_duration(packet, duration),
        }
        .map_err(failed)
    }
}

impl Encoder for Opus {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.samples += samples.len() as u64;
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(samples);
        let mut frames = pending.chunks_exact(self.frame);
        for frame in &mut frames {
            self.encode(frame, None)?;
        }
        self.pending = frames.remainder().to_vec();
        if let Some(written) = self.writer.as_mut().and_then(OggOpusWriter::get_mut) {
            out.append(written);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        // The encoder runs behind its input by the pre-skip: silence pushes the
        // rest out, and the last packet's duration says where the audio ends.
        let ticks = 48_000 / self.encoder.sample_rate() as u64;
        let end = i64::from(self.head.pre_skip) + (self.samples * ticks) as i64;
        loop {
            let left = end - self.writer()?.granule();
            if left <= 0 {
                break;
            }
            let mut frame = std::mem::take(&mut self.pending);
            frame.resize(self.frame, 0.0);
            let whole = (self.frame as u64 * ticks) as i64;
            self.encode(&frame, (left < whole).then_some(left as u32))?;
        }
        if let Some(writer) = self.writer.take() {
            out.append(&mut writer.finish().map_err(failed)?);
        }
        Ok(())
    }
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError::new("opus", reason)
}
