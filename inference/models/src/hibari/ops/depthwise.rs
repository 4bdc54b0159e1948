use candle_core::{CpuStorage, CustomOp1, Layout, Shape};

use super::{LayerNorm, rows};
use crate::{FolderError, hibari::weights::Weights};

/// A depthwise convolution over time, zero-padded to keep the length, and the
/// layer normalisation that follows it. Rows are added up shifted in time,
/// which is one long multiply-add per tap: candle's grouped convolution, made
/// for few and large groups, takes many times as long.
pub(crate) struct DepthwiseNorm {
    dilation: usize,
    /// One row of channels per tap.
    taps: Vec<Vec<f32>>,
    bias: Vec<f32>,
    norm: LayerNorm,
}

impl DepthwiseNorm {
    /// Reads `{name}dw` and `{name}norm`.
    pub(crate) fn load(
        weights: &Weights<'_>,
        name: &str,
        channels: usize,
        kernel: usize,
        dilation: usize,
    ) -> Result<Self, FolderError> {
        let values = weights.values(&format!("{name}dw.weight"), &[channels, 1, kernel])?;
        let tap = |index| values.iter().skip(index).step_by(kernel).copied().collect();
        Ok(Self {
            dilation,
            taps: (0..kernel).map(tap).collect(),
            bias: weights.values(&format!("{name}dw.bias"), &[channels])?,
            norm: LayerNorm::load(weights, &format!("{name}norm."), channels)?,
        })
    }

    fn convolve(&self, x: &[f32], target: &mut [f32]) {
        let channels = self.bias.len();
        let time = x.len() / channels;
        let reach = self.taps.len() / 2 * self.dilation;
        for (now, row) in target.chunks_exact_mut(channels).enumerate() {
            row.copy_from_slice(&self.bias);
            for (index, tap) in self.taps.iter().enumerate() {
                let Some(then) = (now + index * self.dilation).checked_sub(reach).filter(|then| *then < time)
                else {
                    continue;
                };
                let source = &x[then * channels..][..channels];
                for ((sum, value), weight) in row.iter_mut().zip(source).zip(tap) {
                    *sum += value * weight;
                }
            }
            self.norm.row(row);
        }
    }
}

impl CustomOp1 for DepthwiseNorm {
    fn name(&self) -> &'static str {
        "depthwise convolution and layer norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout, self.bias.len())?;
        let mut target = vec![0.0; x.len()];
        self.convolve(x, &mut target);
        Ok((CpuStorage::F32(target), layout.shape().clone()))
    }
}
