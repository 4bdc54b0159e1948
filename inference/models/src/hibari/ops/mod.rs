//! Operations of the network as candle custom ops over `[time, channels]`
//! tensors, rows contiguous, each on the caller's thread.

mod attention;
mod depthwise;
mod gelu;
mod gemm;
mod linear;
mod norm;
mod unfold;

pub(super) use attention::Attention;
pub(super) use depthwise::DepthwiseNorm;
pub(super) use linear::{Activation, Linear};
pub(super) use norm::LayerNorm;
pub(super) use unfold::Unfold;

use candle_core::{CpuStorage, Layout, bail};

/// The rows of a tensor that must be contiguous, f32 and `width` wide.
fn rows<'a>(storage: &'a CpuStorage, layout: &Layout, width: usize) -> candle_core::Result<&'a [f32]> {
    let (time, channels) = layout.shape().dims2()?;
    let Some((start, end)) = layout.contiguous_offsets().filter(|_| channels == width) else {
        bail!("expected contiguous rows of {width} values, got {layout:?}");
    };
    debug_assert_eq!(end - start, time * width);
    Ok(&storage.as_slice::<f32>()?[start..end])
}
