use std::{borrow::Cow, f64::consts::PI};

use crate::HearError;

/// Longest clip that is listened to, in seconds.
pub const MAX_SECONDS: u32 = 120;
/// Lowest rate that speech is listened to at, in samples a second.
pub const MIN_RATE: u32 = 4_000;
/// Highest such rate.
pub const MAX_RATE: u32 = 192_000;

/// Zero crossings of the interpolating filter to each side.
const CROSSINGS: f64 = 24.0;
/// Share of the lower of two bands that is kept; the rest is the filter's slope.
const PASS: f64 = 0.95;

/// Mono audio, samples in −1..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// The samples.
    pub samples: Vec<f32>,
    /// How many there are to a second.
    pub rate: u32,
}

impl Clip {
    /// The same sound at another rate, without what that rate cannot hold.
    /// Empty if one of the rates is 0.
    pub fn at(&self, rate: u32) -> Cow<'_, Self> {
        if rate == self.rate {
            return Cow::Borrowed(self);
        }
        let silent = rate == 0 || self.rate == 0;
        let samples =
            if silent { Vec::new() } else { resample(&self.samples, u64::from(self.rate), u64::from(rate)) };
        Cow::Owned(Self { samples, rate })
    }

    /// Length in seconds; 0 if the rate is 0.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }

    /// Refuses what nothing could be heard in.
    pub(crate) fn check(&self) -> Result<(), HearError> {
        if !(MIN_RATE..=MAX_RATE).contains(&self.rate) {
            return Err(HearError::NotAudio("its rate is not one of speech"));
        }
        if self.samples.is_empty() {
            return Err(HearError::Empty);
        }
        if self.seconds() > f64::from(MAX_SECONDS) {
            return Err(HearError::TooLong(self.seconds()));
        }
        if self.samples.iter().any(|sample| !sample.is_finite()) {
            return Err(HearError::NotAudio("it has samples that are not numbers"));
        }
        Ok(())
    }
}

/// Windowed-sinc interpolation. The filter is computed once for each position
/// that an output can have between two inputs.
fn resample(samples: &[f32], from: u64, to: u64) -> Vec<f32> {
    let common = gcd(from, to);
    let (step, phases) = (from / common, to / common);
    let cutoff = (to as f64 / from as f64).min(1.0) * PASS;
    let reach = (CROSSINGS / cutoff).ceil() as i64;
    let outputs = (samples.len() as u64 * phases).div_ceil(step);
    let filters: Vec<Vec<f32>> = (0..phases.min(outputs))
        .map(|phase| filter((phase * step % phases) as f64 / phases as f64, cutoff, reach))
        .collect();
    let output = |index: u64| {
        let filter = &filters[(index % phases) as usize];
        let first = (index * step / phases) as i64 - reach + 1;
        let skipped = usize::try_from(-first).unwrap_or(0);
        let start = usize::try_from(first).unwrap_or(0).min(samples.len());
        samples[start..].iter().zip(filter.iter().skip(skipped)).map(|(sample, tap)| sample * tap).sum()
    };
    (0..outputs).map(output).collect()
}

/// Taps for the inputs from `1 − reach` to `reach` around a place `offset`
/// after input 0.
fn filter(offset: f64, cutoff: f64, reach: i64) -> Vec<f32> {
    let tap = |input: i64| {
        let distance = input as f64 - offset;
        let x = PI * distance * cutoff;
        let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
        let place = PI * distance / reach as f64;
        // Blackman's window.
        sinc * (0.42 + 0.5 * place.cos() + 0.08 * (2.0 * place).cos())
    };
    let taps: Vec<f64> = (1 - reach..=reach).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / sum) as f32).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn tone(pitch: f64, rate: u32, seconds: f64) -> Clip {
        let count = (seconds * f64::from(rate)) as usize;
        let sample = |n| (2.0 * PI * pitch * n as f64 / f64::from(rate)).sin() as f32;
        Clip { samples: (0..count).map(sample).collect(), rate }
    }

    #[rstest]
    #[case(24_000, 16_000)]
    #[case(44_100, 16_000)]
    #[case(8_000, 16_000)]
    #[case(16_001, 16_000)]
    fn a_tone_keeps_its_pitch_phase_and_strength(#[case] from: u32, #[case] to: u32) {
        let (tone_before, wanted) = (tone(1_000.0, from, 0.5), tone(1_000.0, to, 0.5));
        let resampled = tone_before.at(to);
        assert_eq!(resampled.rate, to);
        assert!(resampled.samples.len().abs_diff(wanted.samples.len()) <= 1);
        let inner = 500..wanted.samples.len() - 500;
        for (got, want) in resampled.samples[inner.clone()].iter().zip(&wanted.samples[inner]) {
            assert!((got - want).abs() < 1e-3, "{got} {want}");
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_gone() {
        let resampled = tone(10_000.0, 24_000, 0.5).at(16_000).into_owned();
        let inner = &resampled.samples[500..resampled.samples.len() - 500];
        let loudest = inner.iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn what_is_no_audio_is_refused() {
        let complaint = |samples, rate| Clip { samples, rate }.check().unwrap_err().to_string();
        assert_eq!(complaint(vec![], 16_000), "the clip has no samples");
        assert_eq!(
            complaint(vec![0.0, f32::NAN], 16_000),
            "the clip is not audio: it has samples that are not numbers"
        );
        assert_eq!(complaint(vec![0.0], 0), "the clip is not audio: its rate is not one of speech");
        assert_eq!(complaint(vec![0.0], 1 << 30), "the clip is not audio: its rate is not one of speech");
        assert_eq!(
            complaint(vec![0.0; 4_000 * 121], 4_000),
            "the clip lasts 121 s; at most 120 s are listened to"
        );
        assert!(Clip { samples: vec![0.0; 4_000 * 120], rate: 4_000 }.check().is_ok());
    }

    #[test]
    fn rates_of_zero_give_an_empty_clip() {
        assert!(Clip { samples: vec![1.0], rate: 0 }.at(16_000).samples.is_empty());
        assert!(Clip { samples: vec![1.0], rate: 16_000 }.at(0).samples.is_empty());
    }
}
