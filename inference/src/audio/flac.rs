//! FLAC, frame by frame, with neither length nor checksum of the whole, as a
//! stream knows neither.

use flacenc::{
    bitsink::ByteSink,
    component::{BitRepr, MetadataBlockData, Stream, StreamInfo},
    config,
    error::{Verified, Verify},
    source::{Fill, FrameBuf},
};

use super::{EncodeError, Encoder, marks::Marks, to_i16};

const BLOCK: usize = 4096;
/// Type of the metadata block with comments.
const COMMENTS: u8 = 4;
/// A frame shorter than this is not allowed; silence fills it up.
const SHORTEST: usize = 32;

pub(super) struct Flac {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    comments: Option<MetadataBlockData>,
    pending: Vec<i32>,
    frames: usize,
}

impl Flac {
    pub(super) fn new(sample_rate: u32, marks: Option<&Marks>) -> Result<Self, EncodeError> {
        let config = config::Encoder::default().into_verified().map_err(|(_, error)| failed(error))?;
        let mut info = StreamInfo::new(sample_rate as usize, 1, 16).map_err(failed)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(failed)?;
        // Zero stands for unknown.
        info.set_frame_sizes(0, 0).map_err(failed)?;
        let comments = marks.map(comments).transpose()?;
        Ok(Self { config, info, comments, pending: Vec::new(), frames: 0 })
    }

    fn encode(&mut self, block: &[i32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.frames == 0 {
            let mut start = Stream::with_stream_info(self.info.clone());
            if let Some(comments) = self.comments.take() {
                start.add_metadata_block(comments);
            }
            write(&start, out)?;
        }
        let mut buffer = FrameBuf::with_size(1, block.len()).map_err(failed)?;
        buffer.fill_interleaved(block).map_err(failed)?;
        let frame = flacenc::encode_fixed_size_frame(&self.config, &buffer, self.frames, &self.info);
        self.frames += 1;
        write(&frame.map_err(failed)?, out)
    }
}

impl Encoder for Flac {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend(samples.iter().map(|&sample| i32::from(to_i16(sample))));
        let mut blocks = pending.chunks_exact(BLOCK);
        for block in &mut blocks {
            self.encode(block, out)?;
        }
        self.pending = blocks.remainder().to_vec();
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut block = std::mem::take(&mut self.pending);
        if block.is_empty() {
            return Ok(());
        }
        block.resize(block.len().max(SHORTEST), 0);
        self.encode(&block, out)
    }
}

/// Vorbis comments (RFC 9639, 8.6).
fn comments(marks: &Marks) -> Result<MetadataBlockData, EncodeError> {
    let fields = marks.fields();
    let mut block = Vec::new();
    put(&mut block, "ttsfleet");
    block.extend((fields.len() as u32).to_le_bytes());
    for (name, value) in fields {
        put(&mut block, &format!("{name}={value}"));
    }
    MetadataBlockData::new_unknown(COMMENTS, &block).map_err(failed)
}

/// Appends a text after its length.
fn put(block: &mut Vec<u8>, text: &str) {
    block.extend((text.len() as u32).to_le_bytes());
    block.extend(text.as_bytes());
}

fn write(component: &impl BitRepr, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut sink = ByteSink::new();
    component.write(&mut sink).map_err(|error| failed(format!("{error:?}")))?;
    out.extend_from_slice(sink.as_slice());
    Ok(())
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError::new("flac", reason)
}
