//! Powers in mel bands, as the networks that listen want them.

use std::{f32::consts::TAU, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex};

/// Samples a second of everything that listens to words, quality and prosody.
pub const RATE: u32 = 16_000;

/// A bank of filters over the spectrum of a window: triangles that are equally
/// wide on Slaney's mel scale, each of the same area.
pub(crate) struct Mel {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    hop: usize,
    bands: Vec<Band>,
}

/// A triangle: where it begins in the spectrum, and its height from there on.
struct Band {
    first: usize,
    heights: Vec<f32>,
}

impl Mel {
    /// For windows and hops of so many samples at [`RATE`].
    pub(crate) fn new(window: usize, hop: usize, bands: usize) -> Self {
        let hann = |n| 0.5 - 0.5 * (TAU * n as f32 / window as f32).cos();
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(window),
            window: (0..window).map(hann).collect(),
            hop,
            bands: triangles(window, bands),
        }
    }

    /// How many bands there are.
    pub(crate) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// The bands' powers in every whole window, window by window.
    pub(crate) fn powers(&self, samples: &[f32]) -> Vec<f32> {
        let mut frame = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut powers = Vec::with_capacity(samples.len() / self.hop * self.bands.len());
        for piece in samples.windows(self.window.len()).step_by(self.hop) {
            for ((place, sample), weight) in frame.iter_mut().zip(piece).zip(&self.window) {
                *place = sample * weight;
            }
            if self.fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
                // Cannot be: the buffers are the transform's own.
                return Vec::new();
            }
            powers.extend(self.bands.iter().map(|band| {
                let bins = spectrum[band.first..].iter().zip(&band.heights);
                bins.map(|(bin, height)| bin.norm_sqr() * height).sum::<f32>()
            }));
        }
        powers
    }
}

fn triangles(window: usize, bands: usize) -> Vec<Band> {
    let top = mel_of(f64::from(RATE) / 2.0);
    let edges: Vec<f64> = (0..bands + 2).map(|n| hertz_of(top * n as f64 / (bands + 1) as f64)).collect();
    let hertz = |bin: usize| bin as f64 * f64::from(RATE) / window as f64;
    let triangle = |edges: &[f64]| {
        let height = |bin| {
            let rising = (hertz(bin) - edges[0]) / (edges[1] - edges[0]);
            let falling = (edges[2] - hertz(bin)) / (edges[2] - edges[1]);
            rising.min(falling).max(0.0) * 2.0 / (edges[2] - edges[0])
        };
        let first = (0..=window / 2).find(|bin| height(*bin) > 0.0).unwrap_or(0);
        let heights = (first..=window / 2).map(height).take_while(|height| *height > 0.0);
        Band { first, heights: heights.map(|height| height as f32).collect() }
    };
    edges.windows(3).map(triangle).collect()
}

/// Mels are linear up to 1 kHz, and logarithmic from there.
const LINEAR_HERTZ: f64 = 200.0 / 3.0;
const BEND_HERTZ: f64 = 1_000.0;
const BEND_MEL: f64 = BEND_HERTZ / LINEAR_HERTZ;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn mel_of(hertz: f64) -> f64 {
    if hertz < BEND_HERTZ { hertz / LINEAR_HERTZ } else { BEND_MEL + (hertz / BEND_HERTZ).ln() / log_step() }
}

fn hertz_of(mel: f64) -> f64 {
    if mel < BEND_MEL { mel * LINEAR_HERTZ } else { BEND_HERTZ * ((mel - BEND_MEL) * log_step()).exp() }
}
