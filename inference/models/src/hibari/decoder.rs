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
/// Frames on either side that a frame's values depend on.
pub(super) const CONTEXT: usize = (BLOCKS + 1) * (KERNEL / 2);

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

    /// The spectrum of every row given. Rows within [`CONTEXT`] of an end that
    /// is not the sentence's own are not to be used.
    pub(super) fn forward(&self, frames: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = frames.apply_op1_no_bwd(&self.neighbours)?.apply_op1_no_bwd(&self.join)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        x.apply_op1_no_bwd(&self.norm)?.apply_op1_no_bwd(&self.head)
    }
}
