use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, bail};

use super::{
    gelu::gelu,
    gemm::{Matrix, add_product},
    rows,
};
use crate::{FolderError, hibari::weights::Weights};

/// What follows a product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    None,
    Gelu,
}

/// `x · W + b`, perhaps with an activation. As a two-argument op it adds the
/// result to a residual.
pub(crate) struct Linear {
    inputs: usize,
    outputs: usize,
    /// `[inputs, outputs]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Linear {
    /// Reads `{name}weight` as `[inputs, outputs]` and `{name}bias`.
    pub(crate) fn load(
        weights: &Weights<'_>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        activation: Activation,
    ) -> Result<Self, FolderError> {
        let weight = weights.values(&format!("{name}weight"), &[inputs, outputs])?;
        let bias = weights.values(&format!("{name}bias"), &[outputs])?;
        Ok(Self { inputs, outputs, weight, bias, activation })
    }

    /// Reads the convolution `{name}weight`, `[outputs, channels, kernel]`, as a product
    /// with rows that [`super::Unfold`] has laid out.
    pub(crate) fn load_convolution(
        weights: &Weights<'_>,
        name: &str,
        [channels, outputs]: [usize; 2],
        kernel: usize,
        activation: Activation,
    ) -> Result<Self, FolderError> {
        let taps = weights.values(&format!("{name}weight"), &[outputs, channels, kernel])?;
        let bias = weights.values(&format!("{name}bias"), &[outputs])?;
        let inputs = kernel * channels;
        let mut weight = vec![0.0; inputs * outputs];
        for (index, tap) in taps.iter().enumerate() {
            let (output, channel, position) = (index / inputs, index % inputs / kernel, index % kernel);
            weight[(position * channels + channel) * outputs + output] = *tap;
        }
        Ok(Self { inputs, outputs, weight, bias, activation })
    }

    /// Multiplies every output by a factor of its own, once and for all.
    pub(crate) fn scaled(mut self, factors: &[f32]) -> Self {
        for row in self.weight.chunks_exact_mut(self.outputs).chain([&mut self.bias[..]]) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
        self
    }

    /// Adds `x · W` to `target`, which already holds what it is added to.
    fn finish(&self, x: &[f32], mut target: Vec<f32>) -> (CpuStorage, Shape) {
        let time = x.len() / self.inputs;
        let x = Matrix::new(x, time, self.inputs, self.inputs);
        let weight = Matrix::new(&self.weight, self.inputs, self.outputs, self.outputs);
        add_product(&mut target, self.outputs, x, weight);
        if self.activation == Activation::Gelu {
            gelu(&mut target);
        }
        (CpuStorage::F32(target), Shape::from((time, self.outputs)))
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout, self.inputs)?;
        Ok(self.finish(x, self.bias.repeat(x.len() / self.inputs)))
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear with residual"
    }

    fn cpu_fwd(
        &self,
        residual: &CpuStorage,
        residual_layout: &Layout,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout, self.inputs)?;
        let residual = rows(residual, residual_layout, self.outputs)?;
        if residual.len() / self.outputs != x.len() / self.inputs {
            bail!("residual and input differ in length");
        }
        let mut target = Vec::with_capacity(residual.len());
        for row in residual.chunks_exact(self.outputs) {
            target.extend(row.iter().zip(&self.bias).map(|(value, bias)| value + bias));
        }
        Ok(self.finish(x, target))
    }
}
