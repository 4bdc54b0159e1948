use candle_core::{Device, Tensor};

use super::{
    convnext::{ConvNext, Shape},
    ops::LayerNorm,
    transformer::{LayerShape, TransformerLayer},
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
        let layer = LayerShape { channels, hidden: 2 * channels, heads: HEADS };
        Ok(Self {
            embedding: embedding.map_err(|error| FolderError::Weights(error.to_string()))?,
            blocks: [block(0)?, block(1)?],
            layer: TransformerLayer::load(weights, &format!("{name}attn."), layer)?,
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
