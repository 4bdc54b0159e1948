//! Matrix products on the caller's thread.
//!
//! `Tensor::matmul` asks the system for the number of cores at every call
//! (it reads `/proc/cpuinfo`) and spreads over a shared pool; with many
//! workers side by side both cost more than they give. This calls the same
//! gemm library with parallelism off, and adds into its target, which makes
//! biases and residuals free.

/// A matrix somewhere inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` rows of `cols` values, each row starting `row_stride` after the
    /// one before.
    ///
    /// # Panics
    /// If the slice is too short: the caller's sizes are wrong.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, cols, row_stride), "matrix of {rows} x {cols} exceeds its slice");
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

fn fits(len: usize, rows: usize, cols: usize, row_stride: usize) -> bool {
    rows == 0 || cols == 0 || (cols <= row_stride && (rows - 1) * row_stride + cols <= len)
}

/// `target += a · b`, where rows of the target start `row_stride` apart.
///
/// # Panics
/// If sizes do not agree.
pub(super) fn add_product(target: &mut [f32], row_stride: usize, a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.cols, b.rows, "inner sizes differ");
    assert!(fits(target.len(), a.rows, b.cols, row_stride), "target is too small");
    #[expect(
        unsafe_code,
        reason = "gemm takes pointers; the assertions here and in Matrix::new bound every access"
    )]
    // SAFETY: each matrix, with its strides, lies inside its slice, and
    // `target` is borrowed mutably, so it overlaps neither source.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            target.as_mut_ptr(),
            1,
            row_stride.cast_signed(),
            true,
            a.data.as_ptr(),
            a.col_stride.cast_signed(),
            a.row_stride.cast_signed(),
            b.data.as_ptr(),
            b.col_stride.cast_signed(),
            b.row_stride.cast_signed(),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_add_into_the_target() {
        let a = [1.0, 2.0, 0.0, 3.0, 4.0, 0.0];
        let b = [1.0, 10.0, 100.0, 1000.0];
        let mut target = [0.5, 0.5, -1.0, 0.5, 0.5, -1.0];
        add_product(&mut target, 3, Matrix::new(&a, 2, 2, 3), Matrix::new(&b, 2, 2, 2));
        assert_eq!(target, [201.5, 2010.5, -1.0, 403.5, 4030.5, -1.0]);
    }

    #[test]
    fn a_transposed_matrix_reads_columns_as_rows() {
        let a = [1.0, 2.0];
        let b = [3.0, 4.0, 5.0, 6.0];
        let mut target = [0.0; 2];
        add_product(&mut target, 2, Matrix::new(&a, 1, 2, 2), Matrix::new(&b, 2, 2, 2).transposed());
        assert_eq!(target, [11.0, 17.0]);
    }

    #[test]
    #[should_panic(expected = "exceeds its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::new(&[0.0; 5], 2, 2, 4);
    }

    #[test]
    #[should_panic(expected = "target is too small")]
    fn a_target_too_small_is_refused() {
        let ones = [1.0; 4];
        add_product(&mut [0.0; 3], 2, Matrix::new(&ones, 2, 2, 2), Matrix::new(&ones, 2, 2, 2));
    }
}
