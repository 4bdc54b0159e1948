use candle_core::{CpuStorage, CustomOp1, Layout, Shape};

use super::rows;
use crate::{FolderError, hibari::weights::Weights};

const EPSILON: f32 = 1e-5;

/// Layer normalisation over channels.
pub(crate) struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl LayerNorm {
    pub(crate) fn load(weights: &Weights<'_>, name: &str, channels: usize) -> Result<Self, FolderError> {
        Ok(Self {
            scale: weights.values(&format!("{name}weight"), &[channels])?,
            shift: weights.values(&format!("{name}bias"), &[channels])?,
        })
    }

    /// Normalises one row in place.
    pub(super) fn row(&self, row: &mut [f32]) {
        let count = row.len() as f32;
        let mean = sum(row, |value| value) / count;
        let variance = sum(row, |value| (value - mean) * (value - mean)) / count;
        let factor = 1.0 / (variance + EPSILON).sqrt();
        for ((value, scale), shift) in row.iter_mut().zip(&self.scale).zip(&self.shift) {
            *value = (*value - mean) * factor * scale + shift;
        }
    }
}

/// A sum in eight lanes, which lets the compiler use vector registers.
fn sum(row: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += map(*value);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| map(*value)).sum::<f32>()
}

impl CustomOp1 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let mut target = rows(storage, layout, self.scale.len())?.to_vec();
        target.chunks_exact_mut(self.scale.len()).for_each(|row| self.row(row));
        Ok((CpuStorage::F32(target), layout.shape().clone()))
    }
}
