use candle_core::{CpuStorage, CustomOp1, Layout, Shape};
use wide::f32x8;

use super::{
    gemm::{Matrix, add_product},
    rows,
};

/// Scaled dot-product attention: rows of `[queries, keys, values]` in, mixed
/// values out.
pub(crate) struct Attention {
    pub(crate) channels: usize,
    pub(crate) heads: usize,
}

impl Attention {
    fn head(&self, projected: &[f32], time: usize, start: usize, target: &mut [f32]) {
        let size = self.channels / self.heads;
        let part = |index: usize| {
            Matrix::new(&projected[index * self.channels + start..], time, size, 3 * self.channels)
        };
        let mut scores = vec![0.0; time * time];
        add_product(&mut scores, time, part(0), part(1).transposed());
        let scale = 1.0 / (size as f32).sqrt();
        scores.chunks_exact_mut(time).for_each(|row| softmax(row, scale));
        add_product(&mut target[start..], self.channels, Matrix::new(&scores, time, time, time), part(2));
    }
}

/// Softmax of `row` times `scale`, in place.
fn softmax(row: &mut [f32], scale: f32) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (chunks, rest) = row.as_chunks_mut::<8>();
    let exp =
        |values: [f32; 8]| ((f32x8::from(values) - f32x8::splat(max)) * f32x8::splat(scale)).exp().to_array();
    chunks.iter_mut().for_each(|chunk| *chunk = exp(*chunk));
    rest.iter_mut().for_each(|value| *value = ((*value - max) * scale).exp());
    let factor = 1.0 / row.iter().sum::<f32>();
    row.iter_mut().for_each(|value| *value *= factor);
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let projected = rows(storage, layout, 3 * self.channels)?;
        let time = projected.len() / (3 * self.channels);
        let mut target = vec![0.0; time * self.channels];
        for start in (0..self.channels).step_by(self.channels / self.heads) {
            self.head(projected, time, start, &mut target);
        }
        Ok((CpuStorage::F32(target), Shape::from((time, self.channels))))
    }
}
