//! How loud audio is, and how much of it lies above what else is listened to.

use ebur128::{EbuR128, Mode};
use realfft::RealFftPlanner;

use crate::Clip;

/// What no audio is quieter than, in LUFS: the gate below which nothing counts.
const SILENCE: f64 = -70.0;
/// Shortest audio that has a loudness, in seconds; silence is added to shorter.
const BLOCK: f64 = 0.4;
/// Everything else that listens hears nothing above, in Hz.
const TREBLE: f64 = 8_000.0;
/// Fainter than so many decibels below the whole is not heard.
const FAINTEST: f64 = -60.0;
/// Samples that the spectrum is taken of at a time.
const WINDOW: usize = 2_048;

/// How loud and how bright a clip is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Integrated loudness after ITU-R BS.1770, in LUFS; −70 for silence.
    pub loudness: f64,
    /// Power above 8 kHz relative to the whole, in decibels from −60 to 0; −60
    /// also where the rate holds nothing so high.
    pub treble: f64,
}

impl Level {
    /// That of a clip.
    pub fn of(clip: &Clip) -> Self {
        let loudness = loudness(clip).filter(|loudness| loudness.is_finite());
        Self { loudness: loudness.unwrap_or(SILENCE).max(SILENCE), treble: treble(clip).clamp(FAINTEST, 0.0) }
    }
}

fn loudness(clip: &Clip) -> Option<f64> {
    let mut meter = EbuR128::new(1, clip.rate, Mode::I).ok()?;
    meter.add_frames_f32(&clip.samples).ok()?;
    let missing = (BLOCK * f64::from(clip.rate)).ceil() as usize;
    meter.add_frames_f32(&vec![0.0; missing.saturating_sub(clip.samples.len())]).ok()?;
    meter.loudness_global().ok()
}

/// In decibels; not a number for silence.
fn treble(clip: &Clip) -> f64 {
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut frame, mut spectrum) = (fft.make_input_vec(), fft.make_output_vec());
    let first = (TREBLE * WINDOW as f64 / f64::from(clip.rate.max(1))).ceil() as usize;
    let (mut high, mut all) = (0.0, 0.0);
    for start in (0..clip.samples.len()).step_by(WINDOW / 2) {
        let piece = &clip.samples[start..(start + WINDOW).min(clip.samples.len())];
        frame.fill(0.0);
        for (place, (to, sample)) in frame.iter_mut().zip(piece).enumerate() {
            let hann = 0.5 - 0.5 * (std::f32::consts::TAU * place as f32 / piece.len() as f32).cos();
            *to = sample * hann;
        }
        if fft.process(&mut frame, &mut spectrum).is_err() {
            // Cannot be: the buffers are the transform's own.
            continue;
        }
        let powers = spectrum.iter().map(|bin| f64::from(bin.norm_sqr()));
        all += powers.clone().sum::<f64>();
        high += powers.skip(first).sum::<f64>();
    }
    if all > 0.0 { 10.0 * (high / all).log10() } else { FAINTEST }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tones of these pitches and strengths, for a second.
    fn tones(rate: u32, parts: &[(f64, f64)]) -> Clip {
        let sample = |n: u32| {
            let turn = std::f64::consts::TAU * f64::from(n) / f64::from(rate);
            parts.iter().map(|(pitch, strength)| strength * (turn * pitch).sin()).sum::<f64>() as f32
        };
        Clip { samples: (0..rate).map(sample).collect(), rate }
    }

    #[test]
    fn loudness_is_that_of_the_standard() {
        // A sine of 997 Hz at full scale in one channel has −3.01 LUFS.
        let Level { loudness, treble } = Level::of(&tones(48_000, &[(997.0, 1.0)]));
        assert!((loudness + 3.01).abs() < 0.05, "{loudness}");
        assert_eq!(treble, FAINTEST);
        let quieter = Level::of(&tones(24_000, &[(997.0, 0.25)])).loudness;
        assert!((loudness - quieter - 12.04).abs() < 0.05, "{quieter}");
    }

    #[test]
    fn treble_is_what_lies_above_eight_kilohertz() {
        for rate in [24_000, 44_100, 48_000] {
            let treble = Level::of(&tones(rate, &[(1_000.0, 0.5), (10_000.0, 0.05)])).treble;
            assert!((treble + 20.04).abs() < 0.1, "{rate}: {treble}");
            assert!(Level::of(&tones(rate, &[(1_000.0, 0.5), (7_900.0, 0.05)])).treble < -55.0);
        }
        assert_eq!(Level::of(&tones(16_000, &[(1_000.0, 0.5)])).treble, FAINTEST);
    }

    #[test]
    fn silence_and_odd_audio_have_a_level() {
        let silent = Level { loudness: SILENCE, treble: FAINTEST };
        assert_eq!(Level::of(&Clip { samples: vec![0.0; 24_000], rate: 24_000 }), silent);
        assert_eq!(Level::of(&Clip { samples: Vec::new(), rate: 0 }), silent);
        let Level { loudness, treble } = Level::of(&Clip { samples: vec![0.5; 100], rate: 192_000 });
        assert!(loudness.is_finite() && treble.is_finite());
        let short = Level::of(&Clip {
            samples: tones(24_000, &[(997.0, 0.5)]).samples[..4_800].to_vec(),
            rate: 24_000,
        });
        assert!(short.loudness > -20.0, "{short:?}");
    }
}
