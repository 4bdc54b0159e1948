use candle_core::{Device, Tensor};

use super::{
    convnext::{ConvNext, Shape},
    ops::{Activation, Attention, LayerNorm, Linear},
    weights::Weights,
};
use crate::FolderError;

/// Symbols of the phoneme alphabet.
pub(super) const SYMBOLS: usize = 178;
const HEADS: usize = 2;

/// Turns phonemes into vectors: embedding, two ConvNeXt blocks, and one
/// transformer layer applied several times over.
pub(super) struct Encoder {
    embedding: Tensor,
    blocks: [ConvNext; 2],
    layer: TransformerLayer,
    repeats: usize,
    norm: LayerNorm,
}

impl Encoder {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        channels: usize,
        repeats: usize,
    ) -> Result<Self, FolderError> {
        let embedding = weights.values(&format!("{name}emb.weight"), &[SYMBOLS, channels])?;
        let embedding = Tensor::from_vec(embedding, (SYMBOLS, channels), &Device::Cpu);
        let shape = Shape { channels, hidden: 2 * channels, kernel: 5 };
        let block = |index| ConvNext::load(weights, &format!("{name}convs.{index}."), shape, 1);
        Ok(Self {
            embedding: embedding.map_err(|error| FolderError::Weights(error.to_string()))?,
            blocks: [block(0)?, block(1)?],
            layer: TransformerLayer::load(weights, &format!("{name}attn."), channels)?,
            repeats,
            norm: LayerNorm::load(weights, &format!("{name}norm."), channels)?,
        })
    }

    /// One row per symbol.
    pub(super) fn forward(&self, symbols: &Tensor) -> candle_core::Result<Tensor> {
        let mut x = self.embedding.index_select(symbols, 0)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        for _ in 0..self.repeats {
            x = self.layer.forward(&x)?;
        }
        x.apply_op1_no_bwd(&self.norm)
    }
}

/// A transformer layer that normalises before each half.
struct TransformerLayer {
    attention_norm: LayerNorm,
    project_in: Linear,
    attention: Attention,
    project_out: Linear,
    feed_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl TransformerLayer {
    fn load(weights: &Weights<'_>, name: &str, channels: usize) -> Result<Self, FolderError> {
        let linear = |part: &str, sizes, activation| {
            Linear::load(weights, &format!("{name}{part}"), sizes, activation)
        };
        let norm = |part: &str| LayerNorm::load(weights, &format!("{name}{part}"), channels);
        Ok(Self {
            attention_norm: norm("norm1.")?,
            project_in: linear("self_attn.in_proj_", [channels, 3 * channels], Activation::None)?,
            attention: Attention { channels, heads: HEADS },
            project_out: linear("self_attn.out_proj.", [channels, channels], Activation::None)?,
            feed_norm: norm("norm2.")?,
            widen: linear("linear1.", [channels, 2 * channels], Activation::Gelu)?,
            narrow: linear("linear2.", [2 * channels, channels], Activation::None)?,
        })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mixed = x.apply_op1_no_bwd(&self.attention_norm)?.apply_op1_no_bwd(&self.project_in)?;
        let x = x.apply_op2_no_bwd(&mixed.apply_op1_no_bwd(&self.attention)?, &self.project_out)?;
        let hidden = x.apply_op1_no_bwd(&self.feed_norm)?.apply_op1_no_bwd(&self.widen)?;
        x.apply_op2_no_bwd(&hidden, &self.narrow)
    }
}
