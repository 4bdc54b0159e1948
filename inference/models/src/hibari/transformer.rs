use candle_core::Tensor;

use super::{
    ops::{Activation, Attention, LayerNorm, Linear},
    weights::Weights,
};
use crate::FolderError;

/// Sizes of a transformer layer.
#[derive(Clone, Copy)]
pub(super) struct LayerShape {
    pub(super) channels: usize,
    /// Width between the two feed-forward maps.
    pub(super) hidden: usize,
    pub(super) heads: usize,
}

/// A transformer layer that normalises before each half.
pub(super) struct TransformerLayer {
    attention_norm: LayerNorm,
    project_in: Linear,
    attention: Attention,
    project_out: Linear,
    feed_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl TransformerLayer {
    /// Reads the layer whose tensors' names start with `name`.
    pub(super) fn load(weights: &Weights<'_>, name: &str, shape: LayerShape) -> Result<Self, FolderError> {
        let LayerShape { channels, hidden, heads } = shape;
        let linear = |part: &str, sizes, activation| {
            Linear::load(weights, &format!("{name}{part}"), sizes, activation)
        };
        let norm = |part: &str| LayerNorm::load(weights, &format!("{name}{part}"), channels);
        Ok(Self {
            attention_norm: norm("norm1.")?,
            project_in: linear("self_attn.in_proj_", [channels, 3 * channels], Activation::None)?,
            attention: Attention { channels, heads },
            project_out: linear("self_attn.out_proj.", [channels, channels], Activation::None)?,
            feed_norm: norm("norm2.")?,
            widen: linear("linear1.", [channels, hidden], Activation::Gelu)?,
            narrow: linear("linear2.", [hidden, channels], Activation::None)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mixed = x.apply_op1_no_bwd(&self.attention_norm)?.apply_op1_no_bwd(&self.project_in)?;
        let x = x.apply_op2_no_bwd(&mixed.apply_op1_no_bwd(&self.attention)?, &self.project_out)?;
        let hidden = x.apply_op1_no_bwd(&self.feed_norm)?.apply_op1_no_bwd(&self.widen)?;
        x.apply_op2_no_bwd(&hidden, &self.narrow)
    }
}
