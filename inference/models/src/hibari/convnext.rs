use std::ops::Range;

use candle_core::Tensor;

use super::{
    ops::{Activation, DepthwiseNorm, Linear},
    weights::Weights,
};
use crate::FolderError;

/// One ConvNeXt block: depthwise convolution, normalisation, widen, GELU,
/// narrow, and back onto the input.
pub(super) struct ConvNext {
    spatial: DepthwiseNorm,
    widen: Linear,
    narrow: Linear,
}

/// Sizes of a block.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) channels: usize,
    pub(super) hidden: usize,
    pub(super) kernel: usize,
}

impl ConvNext {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        shape: Shape,
        dilation: usize,
    ) -> Result<Self, FolderError> {
        let Shape { channels, hidden, kernel } = shape;
        let gamma = weights.values(&format!("{name}gamma"), &[channels])?;
        let narrow = Linear::load(weights, &format!("{name}pw2."), [hidden, channels], Activation::None)?;
        Ok(Self {
            spatial: DepthwiseNorm::load(weights, name, channels, kernel, dilation)?,
            widen: Linear::load(weights, &format!("{name}pw1."), [channels, hidden], Activation::Gelu)?,
            narrow: narrow.scaled(&gamma),
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.forward_rows(x, 0..x.dim(0)?)
    }

    /// As [`Self::forward`], for the rows wanted; the others are only looked at.
    pub(super) fn forward_rows(&self, x: &Tensor, wanted: Range<usize>) -> candle_core::Result<Tensor> {
        let seen = x.apply_op1_no_bwd(&self.spatial)?.narrow(0, wanted.start, wanted.len())?;
        let hidden = seen.apply_op1_no_bwd(&self.widen)?;
        x.narrow(0, wanted.start, wanted.len())?.apply_op2_no_bwd(&hidden, &self.narrow)
    }
}
