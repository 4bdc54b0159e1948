//! From spectra to sound: pulses shaped by the harmonic part, noise shaped by
//! the noisy part, a part with phases of its own, and an inverse STFT.

use std::sync::Arc;

use rand::{Rng, rngs::SmallRng};
use rand_distr::StandardNormal;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex32};
use wide::f32x8;

use super::{decoder::OUTPUTS, pulses::pulses};

pub(super) const SAMPLE_RATE: u32 = 24_000;
pub(super) const HOP: usize = 300;
const WINDOW: usize = 4 * HOP;
const BINS: usize = WINDOW / 2 + 1;
/// Half a window: where the first frame is centred.
const CENTRE: usize = WINDOW / 2;
/// Spectra beyond e to this power are errors, not sound.
const LOUDEST: f32 = 7.0;

/// Transform plans, made once a model.
pub(super) struct Transforms {
    window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

impl Transforms {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let angle = |index| std::f64::consts::TAU * index as f64 / WINDOW as f64;
        Self {
            window: (0..WINDOW).map(|index| (0.5 - 0.5 * angle(index).cos()) as f32).collect(),
            forward: planner.plan_fft_forward(WINDOW),
            inverse: planner.plan_fft_inverse(WINDOW),
        }
    }
}

/// One sentence on its way to sound, frame after frame.
pub(super) struct Synth<'a> {
    transforms: &'a Transforms,
    rng: &'a mut SmallRng,
    /// The pulse train, mirrored by half a window at both ends.
    source: Vec<f32>,
    /// Windowed frames added up, and the squared windows with them.
    overlap: Vec<f32>,
    frames: usize,
    done: usize,
    scratch: Scratch,
}

struct Scratch {
    samples: Vec<f32>,
    spectrum: Vec<Complex32>,
    forward: Vec<Complex32>,
    inverse: Vec<Complex32>,
    parts: Parts,
}

/// One frame's values, made from what the decoder says.
struct Parts {
    /// Gain and turn of the pulses' spectrum.
    harmonic: [Vec<f32>; 2],
    /// Strength of the noise.
    noise: Vec<f32>,
    /// The part with phases of its own.
    free: [Vec<f32>; 2],
}

impl<'a> Synth<'a> {
    pub(super) fn new(transforms: &'a Transforms, f0: &[f32], rng: &'a mut SmallRng) -> Self {
        let frames = f0.len();
        let bins = || vec![0.0; BINS];
        Self {
            transforms,
            rng,
            source: mirrored(&pulses(f0)),
            overlap: vec![0.0; frames * HOP + WINDOW - HOP],
            frames,
            done: 0,
            scratch: Scratch {
                samples: vec![0.0; WINDOW],
                spectrum: vec![Complex32::default(); BINS],
                forward: transforms.forward.make_scratch_vec(),
                inverse: transforms.inverse.make_scratch_vec(),
                parts: Parts { harmonic: [bins(), bins()], noise: bins(), free: [bins(), bins()] },
            },
        }
    }

    /// Takes the decoder's rows for the next frames and gives the samples that
    /// are complete now; with the last frame, all that remain.
    pub(super) fn push(&mut self, rows: &[f32]) -> Result<Vec<f32>, realfft::FftError> {
        let from = self.complete();
        for row in rows.chunks_exact(OUTPUTS) {
            self.add_frame(row)?;
            self.done += 1;
        }
        let until = self.complete();
        let samples = from..until;
        Ok(samples.map(|index| self.overlap[index + CENTRE] / self.window_power(index + CENTRE)).collect())
    }

    /// How many samples of the sentence no later frame will change.
    fn complete(&self) -> usize {
        if self.done == self.frames { self.frames * HOP } else { (self.done * HOP).saturating_sub(CENTRE) }
    }

    /// Sum of the squared windows over one sample; less at the two ends.
    fn window_power(&self, index: usize) -> f32 {
        let (block, offset) = (index / HOP, index % HOP);
        let first = (block + 1).saturating_sub(WINDOW / HOP);
        let last = block.min(self.frames - 1);
        let power =
            (first..=last).map(|frame| self.transforms.window[(block - frame) * HOP + offset].powi(2));
        power.sum::<f32>().max(1e-11)
    }

    fn add_frame(&mut self, row: &[f32]) -> Result<(), realfft::FftError> {
        let Scratch { samples, spectrum, forward, inverse, parts } = &mut self.scratch;
        let start = self.done * HOP;
        let source = &self.source[start..start + WINDOW];
        let voiced = source.iter().any(|sample| *sample != 0.0);
        parts.fill(row, voiced);
        if voiced {
            for ((sample, value), window) in samples.iter_mut().zip(source).zip(&self.transforms.window) {
                *sample = value * window / HOP as f32;
            }
            self.transforms.forward.process_with_scratch(samples, spectrum, forward)?;
        } else {
            spectrum.fill(Complex32::default());
        }
        parts.combine(spectrum, self.rng);
        spectrum[0].im = 0.0;
        spectrum[BINS - 1].im = 0.0;
        self.transforms.inverse.process_with_scratch(spectrum, samples, inverse)?;
        let target = &mut self.overlap[start..start + WINDOW];
        for ((sum, sample), window) in target.iter_mut().zip(samples).zip(&self.transforms.window) {
            *sum += *sample * window / WINDOW as f32;
        }
        Ok(())
    }
}

impl Parts {
    fn fill(&mut self, row: &[f32], voiced: bool) {
        let part = |index: usize| &row[index * BINS..][..BINS];
        if voiced {
            let turn = |theta: f32x8| tanh(theta) * f32x8::PI;
            polar(part(0), part(1), turn, &mut self.harmonic);
        }
        eights(part(2), part(2), |level, _| [magnitude(level); 2], [&mut self.noise, &mut []]);
        polar(part(3), part(4), |phase| phase, &mut self.free);
    }

    /// Applies the parts to the pulses' spectrum.
    fn combine(&self, spectrum: &mut [Complex32], rng: &mut SmallRng) {
        for (bin, value) in spectrum.iter_mut().enumerate() {
            let turn = Complex32::new(self.harmonic[0][bin], self.harmonic[1][bin]);
            let noise = Complex32::new(rng.sample(StandardNormal), rng.sample(StandardNormal));
            let free = Complex32::new(self.free[0][bin], self.free[1][bin]);
            *value = *value * turn + noise * self.noise[bin] + free;
        }
    }
}

/// Real and imaginary parts of e^level·e^(i·angle(value)).
fn polar(levels: &[f32], values: &[f32], angle: impl Fn(f32x8) -> f32x8, [re, im]: &mut [Vec<f32>; 2]) {
    let map = |level, value| {
        let (sin, cos) = angle(value).sin_cos();
        let magnitude = magnitude(level);
        [magnitude * cos, magnitude * sin]
    };
    eights(levels, values, map, [re, im]);
}

fn magnitude(level: f32x8) -> f32x8 {
    level.max(f32x8::splat(-80.0)).min(f32x8::splat(LOUDEST)).exp()
}

fn tanh(x: f32x8) -> f32x8 {
    let x = x.max(f32x8::splat(-10.0)).min(f32x8::splat(10.0));
    let squared = (x + x).exp();
    (squared - f32x8::ONE) / (squared + f32x8::ONE)
}

/// Maps two slices eight values at a time; a target shorter than the sources
/// takes what fits.
fn eights(a: &[f32], b: &[f32], map: impl Fn(f32x8, f32x8) -> [f32x8; 2], targets: [&mut [f32]; 2]) {
    let [first, second] = targets;
    for start in (0..a.len()).step_by(8) {
        let results = map(eight(a, start), eight(b, start)).map(f32x8::to_array);
        for (target, values) in [&mut *first, &mut *second].into_iter().zip(results) {
            let end = target.len().min(start + 8);
            let target = target.get_mut(start..end).unwrap_or_default();
            target.copy_from_slice(&values[..target.len()]);
        }
    }
}

fn eight(values: &[f32], start: usize) -> f32x8 {
    let mut lanes = [0.0; 8];
    let values = &values[start..values.len().min(start + 8)];
    lanes[..values.len()].copy_from_slice(values);
    f32x8::from(lanes)
}

/// The samples with half a window of their mirror image before and after, the
/// end samples themselves not repeated.
fn mirrored(samples: &[f32]) -> Vec<f32> {
    let len = samples.len() as isize;
    let half = CENTRE as isize;
    let reflect = |index: isize| {
        let folded = index.rem_euclid(2 * (len - 1));
        folded.min(2 * (len - 1) - folded) as usize
    };
    (-half..len + half).map(|index| samples[reflect(index)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_mirrored_at_its_ends() {
        let samples: Vec<f32> = (0..900).map(|index| index as f32).collect();
        let padded = mirrored(&samples);
        assert_eq!(padded.len(), 900 + WINDOW);
        assert_eq!(padded[CENTRE - 2..CENTRE + 2], [2.0, 1.0, 0.0, 1.0]);
        assert_eq!(padded[CENTRE + 898..CENTRE + 902], [898.0, 899.0, 898.0, 897.0]);
    }

    #[test]
    fn vector_functions_agree_with_the_scalar_ones() {
        let inputs: Vec<f32> = (-60..=60).map(|step| step as f32 / 9.0).collect();
        let mut made = [vec![0.0; inputs.len()], vec![0.0; inputs.len()]];
        polar(&inputs, &inputs, |angle| tanh(angle) * f32x8::PI, &mut made);
        for (index, x) in inputs.iter().enumerate() {
            let (level, turn) = (x.min(LOUDEST).exp(), x.tanh() * std::f32::consts::PI);
            assert!((made[0][index] - level * turn.cos()).abs() < 3e-6 * level, "cos at {x}");
            assert!((made[1][index] - level * turn.sin()).abs() < 3e-6 * level, "sin at {x}");
        }
    }
}
