use std::ops::Range;

use candle_core::{Device, Tensor};

use super::{
    convnext::{ConvNext, Shape},
    encoder::Encoder,
    ops::{Activation, LayerNorm, Linear, Unfold},
    prosody::Prosody,
    weights::Weights,
};
use crate::FolderError;

const TEXT_CHANNELS: usize = 128;
const CHANNELS: usize = 256;
const BLOCKS: usize = 8;
const KERNEL: usize = 7;
const INPUTS: usize = TEXT_CHANNELS + 2;

/// Values the decoder gives for every frame.
pub(super) const OUTPUTS: usize = 3005;
/// Rows on either side that one layer looks at.
const REACH: usize = KERNEL / 2;
/// Frames on either side that a frame's values depend on.
const CONTEXT: usize = (BLOCKS + 1) * REACH;

/// Predicts the spectrum of each frame of 12.5 ms.
pub(super) struct Decoder {
    encoder: Encoder,
    neighbours: Unfold,
    join: Linear,
    blocks: Vec<ConvNext>,
    norm: LayerNorm,
    head: Linear,
}

impl Decoder {
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self, FolderError> {
        let shape = Shape { channels: CHANNELS, hidden: 3 * CHANNELS, kernel: KERNEL };
        let blocks = (0..BLOCKS).map(|index| ConvNext::load(weights, &format!("m.dec.{index}."), shape, 1));
        Ok(Self {
            encoder: Encoder::load(weights, "m.text.", TEXT_CHANNELS, 4)?,
            neighbours: Unfold { channels: INPUTS, kernel: KERNEL },
            join: Linear::load_convolution(
                weights,
                "m.dec_in.",
                [INPUTS, CHANNELS],
                KERNEL,
                Activation::None,
            )?,
            blocks: blocks.collect::<Result<_, _>>()?,
            norm: LayerNorm::load(weights, "m.dec_norm.", CHANNELS)?,
            head: Linear::load(weights, "m.head.", [CHANNELS, OUTPUTS], Activation::None)?,
        })
    }

    /// What the decoder sees of a sentence: one row per frame.
    pub(super) fn prepare(&self, symbols: &Tensor, prosody: &Prosody) -> candle_core::Result<Tensor> {
        let text = self.encoder.forward(symbols)?;
        let frames: Vec<u32> = prosody.phonemes.iter().flat_map(|phoneme| [*phoneme; 2]).collect();
        let text = text.index_select(&Tensor::new(&frames[..], &Device::Cpu)?, 0)?;
        let contour = prosody.f0.iter().zip(&prosody.energy);
        let contour = contour.flat_map(|(f0, energy)| [f0.max(0.0).ln_1p() / 5.0, energy / 5.0]).collect();
        let contour = Tensor::from_vec(contour, (frames.len(), 2), &Device::Cpu)?;
        Tensor::cat(&[text, contour], 1)
    }

    /// The spectra of a sentence's frames, to be had piece by piece.
    pub(super) fn begin(&self, frames: Tensor) -> Decoding<'_> {
        let windows = [(); BLOCKS + 1].map(|()| Window::default());
        Decoding { decoder: self, frames, fed: 0, windows }
    }
}

/// Frames on their way through the decoder. Every layer keeps the rows that
/// the next ones look back at, so that no row is computed twice however small
/// the pieces are.
pub(super) struct Decoding<'a> {
    decoder: &'a Decoder,
    frames: Tensor,
    /// Frames that went in.
    fed: usize,
    windows: [Window; BLOCKS + 1],
}

impl Decoding<'_> {
    /// The values of the next `count` frames, a few more where the sentence
    /// ends; of none once all have come.
    pub(super) fn next(&mut self, count: usize) -> candle_core::Result<Vec<f32>> {
        let total = self.frames.dim(0)?;
        if self.fed == total {
            return Ok(Vec::new());
        }
        let ahead = if self.fed == 0 { CONTEXT } else { 0 };
        let feed = (count + ahead).min(total - self.fed);
        let mut x = self.frames.narrow(0, self.fed, feed)?;
        self.fed += feed;
        let ends = self.fed == total;
        let [joined, windows @ ..] = &mut self.windows;
        let (seen, wanted) = joined.take(&x, ends)?;
        let beside = seen.apply_op1_no_bwd(&self.decoder.neighbours)?;
        x = beside.narrow(0, wanted.start, wanted.len())?.apply_op1_no_bwd(&self.decoder.join)?;
        for (block, window) in self.decoder.blocks.iter().zip(windows) {
            let (seen, wanted) = window.take(&x, ends)?;
            x = block.forward_rows(&seen, wanted)?;
        }
        x.apply_op1_no_bwd(&self.decoder.norm)?.apply_op1_no_bwd(&self.decoder.head)?.flatten_all()?.to_vec1()
    }
}

/// What one layer has seen and still needs.
#[derive(Default)]
struct Window {
    /// The last rows seen.
    held: Option<Tensor>,
    /// How many of them have come out already.
    done: usize,
}

impl Window {
    /// Takes the next rows. Answers the rows that can be seen, and which of
    /// them can come out now: those whose neighbours are all there.
    fn take(&mut self, rows: &Tensor, ends: bool) -> candle_core::Result<(Tensor, Range<usize>)> {
        let seen = match self.held.take() {
            Some(held) => Tensor::cat(&[&held, rows], 0)?,
            None => rows.clone(),
        };
        let count = seen.dim(0)?;
        let complete = if ends { count } else { count - REACH };
        let wanted = self.done..complete;
        let first = complete.saturating_sub(REACH);
        self.held = Some(seen.narrow(0, first, count - first)?);
        self.done = complete - first;
        Ok((seen, wanted))
    }
}
