//! Reads safetensors whose content is not trusted: every tensor is asked for
//! by name and shape, and refused when it is anything else.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::FolderError;

/// A checked set of named tensors.
pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FolderError> {
        SafeTensors::deserialize(bytes).map(Self).map_err(|error| FolderError::Weights(error.to_string()))
    }

    /// The values of one tensor as f32. Eight-bit tensors are scaled by the
    /// scalar beside them, once, here.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, FolderError> {
        let view = self.view(name, shape)?;
        let values = match view.dtype() {
            Dtype::F32 => floats(&view),
            Dtype::I8 => {
                let scale = self.scale(name)?;
                view.data().iter().map(|byte| f32::from(byte.cast_signed()) * scale).collect()
            }
            other => return Err(FolderError::Weights(format!("{name} has type {other:?}"))),
        };
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        Err(FolderError::Weights(format!("{name} has values that are not finite")))
    }

    fn scale(&self, name: &str) -> Result<f32, FolderError> {
        let name = format!("{name}_scale");
        let view = self.view(&name, &[])?;
        match (view.dtype(), &floats(&view)[..]) {
            (Dtype::F32, [scale]) => Ok(*scale),
            _ => Err(FolderError::Weights(format!("{name} is not one number"))),
        }
    }

    fn view(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>, FolderError> {
        let view = self.0.tensor(name).map_err(|_| FolderError::Weights(format!("{name} is missing")))?;
        if view.shape() != shape {
            return Err(FolderError::Weights(format!("{name} has shape {:?}, not {shape:?}", view.shape())));
        }
        Ok(view)
    }
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn eight_bit_weights_are_scaled() {
        let file =
            file(&[("w", Dtype::I8, vec![2], vec![0x80, 3]), ("w_scale", Dtype::F32, vec![], bytes(&[0.5]))]);
        assert_eq!(Weights::read(&file).unwrap().values("w", &[2]).unwrap(), [-64.0, 1.5]);
    }

    #[test]
    fn hostile_weights_are_refused_by_name() {
        let file = file(&[
            ("nan", Dtype::F32, vec![1], bytes(&[f32::NAN])),
            ("long", Dtype::F32, vec![3], bytes(&[0.0; 3])),
            ("wide", Dtype::F64, vec![1], vec![0; 8]),
            ("bare", Dtype::I8, vec![1], vec![1]),
        ]);
        let weights = Weights::read(&file).unwrap();
        for (name, shape, complaint) in [
            ("nan", 1, "nan has values that are not finite"),
            ("long", 2, "long has shape [3], not [2]"),
            ("wide", 1, "wide has type F64"),
            ("bare", 1, "bare_scale is missing"),
            ("none", 1, "none is missing"),
        ] {
            let error = weights.values(name, &[shape]).unwrap_err();
            assert_eq!(error.to_string(), format!("unusable weights: {complaint}"));
        }
        assert!(Weights::read(&file[..file.len() - 1]).is_err());
        assert!(Weights::read(b"\xff\xff\xff\xff\xff\xff\xff\xffrest").is_err());
    }
}
