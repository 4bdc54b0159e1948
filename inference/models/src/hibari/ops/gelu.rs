//! GELU in its erf form.

use wide::f32x8;

/// erf(z) is close to z·P(z²)/Q(z²) for |z| up to 4, where it reaches 1. Highest
/// powers first; these minimax coefficients are the ones common in f32 libraries.
const NUMERATOR: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_4e-5,
    -7.349_906_5e-4,
    -2.954_6e-3,
    -1.609_603_3e-2,
];
const DENOMINATOR: [f32; 5] =
    [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];

/// Replaces each value x by x·Φ(x), Φ being the normal distribution function,
/// eight at a time: the standard library's erf, one at a time, costs more than
/// the matrix products around it.
pub(super) fn gelu(values: &mut [f32]) {
    let (chunks, rest) = values.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = eight(f32x8::from(*chunk)).to_array();
    }
    let mut padded = [0.0; 8];
    padded[..rest.len()].copy_from_slice(rest);
    rest.copy_from_slice(&eight(f32x8::from(padded)).to_array()[..rest.len()]);
}

#[inline]
fn eight(x: f32x8) -> f32x8 {
    let z =
        (x * f32x8::splat(std::f32::consts::FRAC_1_SQRT_2)).max(f32x8::splat(-4.0)).min(f32x8::splat(4.0));
    let square = z * z;
    let polynomial = |coefficients: &[f32]| {
        coefficients.iter().fold(f32x8::ZERO, |sum, coefficient| sum * square + f32x8::splat(*coefficient))
    };
    let erf = z * polynomial(&NUMERATOR) / polynomial(&DENOMINATOR);
    f32x8::HALF * x * (f32x8::ONE + erf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series in f64, enough terms for |x| up to 4.
    fn erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn gelu_is_within_a_millionth_of_the_exact_one() {
        let inputs: Vec<f32> = (-1003..=1003).map(|step| step as f32 / 200.0).collect();
        let mut outputs = inputs.clone();
        gelu(&mut outputs);
        for (x, y) in inputs.iter().zip(outputs) {
            let x = f64::from(*x);
            let exact = 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()));
            assert!((f64::from(y) - exact).abs() < 1e-6, "gelu({x}) = {y}, not {exact}");
        }
    }

    #[test]
    fn gelu_of_large_values_saturates() {
        let inputs = [1e4, -1e4, 40.0, -40.0];
        let mut outputs = inputs;
        gelu(&mut outputs);
        for (x, y) in inputs.iter().zip(outputs) {
            assert!((y - x.max(0.0)).abs() <= x.abs() * 1e-7, "gelu({x}) = {y}");
        }
    }
}
