use candle_core::{DType, Device, Tensor, safetensors::SliceSafetensors};

use crate::HearError;

/// Tensors by name, each checked against the shape it must have.
pub(super) struct Weights<'a>(SliceSafetensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, HearError> {
        SliceSafetensors::new(bytes).map(Self).map_err(|error| HearError::Weights(error.to_string()))
    }

    /// A tensor of floats, whatever their width.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, HearError> {
        let unusable = |what: String| HearError::Weights(format!("{name}: {what}"));
        let tensor = self.0.load(name, &Device::Cpu).map_err(|_| unusable("is missing".to_owned()))?;
        if tensor.dims() != shape {
            return Err(unusable(format!("has shape {:?}, not {shape:?}", tensor.dims())));
        }
        if !tensor.dtype().is_float() {
            return Err(unusable(format!("has type {:?}", tensor.dtype())));
        }
        tensor.to_dtype(DType::F32).map_err(|error| unusable(error.to_string()))
    }
}
