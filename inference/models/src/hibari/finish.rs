//! The last touches on samples: soft edges and a guard against clipping.

use super::synth::SAMPLE_RATE;

/// Length of the fade at each end of a sentence: 5 ms.
pub(super) const FADE: usize = SAMPLE_RATE as usize / 200;
/// Above this the guard bends samples.
const KNEE: f32 = 0.9;
/// What the loudest sample can come to.
const CEILING: f32 = 0.99;

/// Finishes the samples of a sentence of `total` samples, of which `start`
/// went before. False if one is not a number.
pub(super) fn finish(samples: &mut [f32], start: usize, total: usize) -> bool {
    for (index, sample) in (start..).zip(samples.iter_mut()) {
        let edge = index.min(total.saturating_sub(index + 1));
        let gain = (edge as f32 / FADE as f32).min(1.0);
        *sample = limited(*sample * gain);
    }
    samples.iter().all(|sample| sample.is_finite())
}

/// Leaves normal samples alone and bends loud ones towards the ceiling.
fn limited(sample: f32) -> f32 {
    let excess = sample.abs() - KNEE;
    if excess > 0.0 {
        let room = CEILING - KNEE;
        return (KNEE + room * (excess / room).tanh()).copysign(sample);
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_samples_stay_below_one_and_keep_their_order() {
        let mut samples: Vec<f32> = (-50..=50).map(|step| step as f32 / 10.0).collect();
        assert!(finish(&mut samples, 10_000, 100_000));
        assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
        assert!(samples.is_sorted());
        assert_eq!(samples[55], 0.5);
    }

    #[test]
    fn a_sentence_starts_and_ends_in_silence_also_in_pieces() {
        let mut whole = vec![0.5; 1000];
        assert!(finish(&mut whole, 0, 1000));
        assert_eq!((whole[0], whole[999], whole[500]), (0.0, 0.0, 0.5));
        let mut tail = vec![0.5; 400];
        finish(&mut tail, 600, 1000);
        assert_eq!(tail, whole[600..]);
    }

    #[test]
    fn what_is_not_a_number_is_noticed() {
        assert!(!finish(&mut [0.0, f32::NAN, 0.1], 500, 2000));
    }
}
