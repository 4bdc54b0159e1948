//! Weights as safetensors, read, changed and written again.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Tensors by name.
pub(super) struct Weights(BTreeMap<String, Tensor>);

struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Weights {
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)?;
        let tensors = file.iter().map(|(name, view)| {
            let (dtype, shape) = (view.dtype(), view.shape().to_vec());
            (name.to_owned(), Tensor { dtype, shape, bytes: view.data().to_vec() })
        });
        Ok(Self(tensors.collect()))
    }

    pub(super) fn write(&self) -> Result<Vec<u8>> {
        let views = self.0.iter().map(|(name, tensor)| {
            TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).map(|view| (name, view))
        });
        Ok(safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)?)
    }

    /// Makes numbers of one byte, which come with a scale, ones of four.
    pub(super) fn widen(&mut self) -> Result<()> {
        let narrow = self.0.iter().filter(|(_, tensor)| tensor.dtype == Dtype::I8);
        let names: Vec<String> = narrow.map(|(name, _)| name.clone()).collect();
        for name in names {
            let scale =
                self.0.remove(&format!("{name}_scale")).with_context(|| format!("no scale of {name}"))?;
            let scale = floats(&scale.bytes).next().context("a scale without a number")?;
            let tensor = self.tensor(&name)?;
            let values = tensor.bytes.iter().map(|byte| f32::from(byte.cast_signed()) * scale);
            tensor.bytes = values.flat_map(f32::to_le_bytes).collect();
            tensor.dtype = Dtype::F32;
        }
        Ok(())
    }

    /// Changes the numbers of a tensor, each by its place and value.
    pub(super) fn map(&mut self, name: &str, change: impl Fn(usize, f32) -> f32) -> Result<()> {
        let tensor = self.tensor(name)?;
        ensure!(tensor.dtype == Dtype::F32, "{name} is not of floating-point numbers");
        let values = floats(&tensor.bytes).enumerate().map(|(index, value)| change(index, value));
        tensor.bytes = values.flat_map(f32::to_le_bytes).collect();
        Ok(())
    }

    /// Takes the last number off a vector.
    pub(super) fn shorten(&mut self, name: &str) -> Result<()> {
        let tensor = self.tensor(name)?;
        ensure!(tensor.dtype == Dtype::F32 && tensor.shape.len() == 1, "{name} is not a vector");
        tensor.shape[0] -= 1;
        tensor.bytes.truncate(4 * tensor.shape[0]);
        Ok(())
    }

    fn tensor(&mut self, name: &str) -> Result<&mut Tensor> {
        self.0.get_mut(name).with_context(|| format!("the weights have no {name}"))
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}
