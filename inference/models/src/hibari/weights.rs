//! Reads safetensors whose content is not trusted: every tensor is asked for
//! by name and shape, and refused when it is anything else.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::FolderError;

/// Longest header that is read, in bytes: names and places of some ten thousand
/// tensors.
const MAX_HEADER: u64 = 1 << 20;

/// A checked set of named tensors.
pub(super) struct Weights<'a>(SafeTensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FolderError> {
        let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        if length > MAX_HEADER {
            return Err(FolderError::Weights(format!("the header is {length} bytes long")));
        }
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

    /// A file whose header says what it likes.
    fn forged(header: &str, data: usize) -> Vec<u8> {
        let length = (header.len() as u64).to_le_bytes();
        [&length, header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn tensors_that_are_not_where_they_are_said_to_be_are_refused() {
        let tensor =
            |begin: i64, end: i64| format!(r#"{{"dtype":"F32","shape":[2],"data_offsets":[{begin},{end}]}}"#);
        let two = |first: &str, second: &str| format!(r#"{{"a":{first},"b":{second}}}"#);
        assert!(Weights::read(&forged(&two(&tensor(0, 8), &tensor(8, 16)), 16)).is_ok());
        for (what, header) in [
            ("overlapping", two(&tensor(0, 8), &tensor(4, 12))),
            ("the same place", two(&tensor(0, 8), &tensor(0, 8))),
            ("a gap", two(&tensor(0, 8), &tensor(12, 20))),
            ("backwards", two(&tensor(0, 8), &tensor(16, 8))),
            ("negative", two(&tensor(-8, 0), &tensor(0, 8))),
            ("beyond the end", two(&tensor(0, 8), &tensor(8, 1 << 40))),
            ("another length", two(&tensor(0, 8), &tensor(8, 12))),
            (
                "overflow",
                r#"{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#.into(),
            ),
            ("named twice", format!(r#"{{"a":{},"a":{}}}"#, tensor(0, 8), tensor(0, 8))),
            ("no object", "[]".into()),
        ] {
            let refused = Weights::read(&forged(&header, 16)).err();
            let message = refused.map_or_else(|| panic!("{what} is taken"), |error| error.to_string());
            assert!(message.starts_with("unusable weights: "), "{what}: {message}");
        }
    }

    #[test]
    fn a_header_of_any_length_is_not_read() {
        let long = forged(&" ".repeat(MAX_HEADER as usize + 1), 0);
        let message = Weights::read(&long).err().unwrap().to_string();
        assert_eq!(message, format!("unusable weights: the header is {} bytes long", MAX_HEADER + 1));
        for short in [&b""[..], b"\x08", &forged("{}", 0)[..9]] {
            assert!(Weights::read(short).is_err());
        }
    }
}
