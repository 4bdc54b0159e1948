//! GELU in its erf form.

use wide::f32x8;

/// Replaces each value x by x·Φ(x), Φ being the normal distribution function.
///
/// erf is Abramowitz and Stegun's 7.1.26, off by at most 1.5e-7, eight at a
/// time; the exact one costs more than the matrix products around it.
pub(super) fn gelu(values: &mut [f32]) {
    let (chunks, rest) = values.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = eight(f32x8::from(*chunk)).to_array();
    }
    let mut padded = [0.0; 8];
    padded[..rest.len()].copy_from_slice(rest);
    rest.copy_from_slice(&eight(f32x8::from(padded)).to_array()[..rest.len()]);
}

fn eight(x: f32x8) -> f32x8 {
    let z = x * f32x8::splat(std::f32::consts::FRAC_1_SQRT_2);
    let magnitude = z.abs();
    let t = f32x8::ONE / (f32x8::ONE + f32x8::splat(0.327_591_1) * magnitude);
    let mut polynomial = f32x8::splat(1.061_405_4);
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        polynomial = polynomial * t + f32x8::splat(coefficient);
    }
    let tail = polynomial * t * (-z * z).max(f32x8::splat(-80.0)).exp();
    let erf = (f32x8::ONE - tail).copysign(z);
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
        let mut values = [1e4, -1e4, 40.0, -40.0];
        gelu(&mut values);
        assert_eq!(values, [1e4, -0.0, 40.0, -0.0]);
    }
}
