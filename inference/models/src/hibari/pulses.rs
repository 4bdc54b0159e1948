//! The source of voiced sound: a train of pulses that follows the pitch.

use super::synth::{HOP, SAMPLE_RATE};

/// Below this the voice is silent (unvoiced), in Hz.
const VOICED_ABOVE: f32 = 40.0;
/// Harmonics go up to here, in Hz.
const HIGHEST: f32 = 11_000.0;
/// Where the closed form's denominator gets too small to divide by.
const NEAR_PULSE: f32 = 2e-3;

/// All harmonics of the pitch at equal strength: the sum of cos(h·phase) for h
/// up to H is sin((H+½)·phase) / (2·sin(phase/2)) − ½.
pub(super) fn pulses(f0: &[f32]) -> Vec<f32> {
    let mut turns = 0.0_f64;
    let mut samples = Vec::with_capacity(f0.len() * HOP);
    for frame in 0..f0.len() {
        for offset in 0..HOP {
            let pitch = interpolated(f0, frame, offset);
            let audible = pitch.max(VOICED_ABOVE);
            turns = (turns + f64::from(audible) / f64::from(SAMPLE_RATE)).fract();
            samples.push(if pitch > VOICED_ABOVE { pulse(turns, audible) } else { 0.0 });
        }
    }
    samples
}

fn pulse(turns: f64, pitch: f32) -> f32 {
    let phase = (turns * std::f64::consts::TAU) as f32;
    let order = (HIGHEST / pitch).floor() + 0.5;
    let denominator = 2.0 * (phase * 0.5).sin();
    let ratio = if denominator.abs() <= NEAR_PULSE { order } else { (order * phase).sin() / denominator };
    ratio - 0.5
}

/// The pitch at one sample; a frame's own value lies at its middle.
fn interpolated(f0: &[f32], frame: usize, offset: usize) -> f32 {
    let position = (offset as f32 + 0.5) / HOP as f32 - 0.5;
    let last = f0.len() - 1;
    let (before, after) = if position < 0.0 {
        (f0[frame.saturating_sub(1)], f0[frame])
    } else {
        (f0[frame], f0[(frame + 1).min(last)])
    };
    let share = position.rem_euclid(1.0);
    before * (1.0 - share) + after * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pitch_pulses_once_a_period() {
        let samples = pulses(&[200.0; 80]);
        let peaks = samples.windows(3).filter(|w| w[1] > 40.0 && w[1] >= w[0] && w[1] > w[2]).count();
        assert!((199..=201).contains(&peaks), "{peaks} pulses in a second of 200 Hz");
    }

    #[test]
    fn unvoiced_frames_are_silent() {
        assert!(pulses(&[0.0, -3.0, 39.0]).iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn the_pitch_glides_between_frames() {
        let f0 = [100.0, 200.0];
        assert_eq!(interpolated(&f0, 0, 0), 100.0);
        assert!((interpolated(&f0, 0, HOP - 1) - 149.8).abs() < 0.2);
        assert!((interpolated(&f0, 1, 0) - 150.2).abs() < 0.2);
        assert_eq!(interpolated(&f0, 1, HOP - 1), 200.0);
    }
}
