use candle_core::{CpuStorage, CustomOp1, Layout, Shape};

use super::rows;

/// Lays the neighbours in time beside each row, zeros outside, so that a dense
/// convolution becomes one product.
pub(crate) struct Unfold {
    pub(crate) channels: usize,
    pub(crate) kernel: usize,
}

impl CustomOp1 for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout, self.channels)?;
        let time = x.len() / self.channels;
        let margin = self.kernel / 2 * self.channels;
        let width = self.kernel * self.channels;
        let mut padded = vec![0.0; x.len() + 2 * margin];
        padded[margin..margin + x.len()].copy_from_slice(x);
        let mut target = Vec::with_capacity(time * width);
        for now in 0..time {
            target.extend_from_slice(&padded[now * self.channels..][..width]);
        }
        Ok((CpuStorage::F32(target), Shape::from((time, width))))
    }
}
