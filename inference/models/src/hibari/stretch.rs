//! Time-stretching: speech made shorter or longer, its pitch kept.
//!
//! WSOLA (W. Verhelst, M. Roelands: "An overlap-add technique based on waveform
//! similarity for high quality time-scale modification of speech", ICASSP 1993).
//! The output is laid in blocks. Each is taken from about where it belongs in
//! the input: from the place, of those near, that sounds most like what would
//! have followed the block before, and one is faded into the other.

use wide::f32x8;

/// Samples of a block, 20 ms, and those in which it is faded into, and compared
/// with, what would have followed the one before.
const BLOCK: usize = 480;
/// How far from where it belongs a block may be taken, in samples: 10 ms, two
/// periods of a voice of 200 Hz.
const SEARCH: usize = 240;
/// Every how many places are tried before all those next to the best of them: a
/// quarter of a period at 1.5 kHz.
const STRIDE: usize = 4;
/// Added to the power of what is compared, so that silence is like nothing.
const FAINT: f32 = 1e-6;

/// One sentence's samples on their way to another length.
pub(super) struct Stretch {
    /// Samples that will come.
    input: usize,
    /// Samples to be given for them.
    output: usize,
    /// The last samples that came; after all of them, some zeros.
    held: Vec<f32>,
    /// How many came before those.
    dropped: usize,
    /// How many were given.
    given: usize,
    /// What would follow the last block, as a place in the input.
    next: usize,
    /// The weights of a block's samples while it is faded in.
    rise: [f32; BLOCK],
}

impl Stretch {
    /// Makes so many samples of so many. Those of equal number stay as they are.
    pub(super) fn new(input: usize, output: usize) -> Self {
        let rise = |index| {
            let angle = std::f32::consts::PI * (index as f32 + 0.5) / BLOCK as f32;
            0.5 - 0.5 * angle.cos()
        };
        Self {
            input,
            output,
            held: Vec::new(),
            dropped: 0,
            given: 0,
            next: 0,
            rise: std::array::from_fn(rise),
        }
    }

    /// Takes the next samples and gives those that can be made now; with the
    /// last sample, all that remain.
    pub(super) fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        if self.input == self.output {
            return samples.to_vec();
        }
        let missing = self.input.saturating_sub(self.dropped + self.held.len());
        self.held.extend(samples.iter().take(missing));
        let came = self.dropped + self.held.len();
        if came == self.input {
            self.held.resize(self.held.len() + 2 * BLOCK, 0.0);
        }
        let mut made = Vec::new();
        while self.given < self.output {
            let belongs = self.belongs();
            let seen = (belongs + SEARCH).max(self.next) + BLOCK;
            if came < self.input && came < seen {
                break;
            }
            self.lay(belongs, &mut made);
        }
        made
    }

    /// Where in the input the next block belongs.
    fn belongs(&self) -> usize {
        let place = self.given as u128 * self.input as u128 / self.output.max(1) as u128;
        (place as usize).min(self.latest())
    }

    /// The last place that a block can be taken from.
    fn latest(&self) -> usize {
        self.input.saturating_sub(BLOCK)
    }

    /// Lays the next block.
    fn lay(&mut self, belongs: usize, made: &mut Vec<f32>) {
        let place = if self.given == 0 { 0 } else { self.most_alike(belongs) };
        let count = BLOCK.min(self.output - self.given);
        let block = &self.held[place - self.dropped..][..count];
        let before = &self.held[self.next - self.dropped..][..BLOCK];
        if self.given == 0 {
            made.extend_from_slice(block);
        } else {
            let faded = block.iter().zip(before).zip(&self.rise);
            made.extend(faded.map(|((new, old), weight)| old + (new - old) * weight));
        }
        self.given += count;
        self.next = place + BLOCK;
        let needed = self.belongs().saturating_sub(SEARCH).min(self.next);
        self.held.drain(..needed - self.dropped);
        self.dropped = needed;
    }

    /// The place, near this one, of what is most like the sound that would have
    /// followed: the highest normalised cross-correlation.
    fn most_alike(&self, belongs: usize) -> usize {
        let near = belongs.saturating_sub(SEARCH)..=(belongs + SEARCH).min(self.latest());
        // Nothing is more like it than itself.
        if near.contains(&self.next) {
            return self.next;
        }
        let wanted = &self.held[self.next - self.dropped..][..BLOCK];
        let better = |best: (usize, f32), place| {
            let likeness = self.likeness(wanted, place);
            if likeness > best.1 { (place, likeness) } else { best }
        };
        let start = (belongs, self.likeness(wanted, belongs));
        let rough = near.clone().step_by(STRIDE).fold(start, better);
        let around = rough.0.saturating_sub(STRIDE - 1)..rough.0 + STRIDE;
        around.filter(|place| near.contains(place)).fold(rough, better).0
    }

    /// How alike two stretches of sound are, whatever their loudness, up to a
    /// factor that `wanted` alone decides.
    fn likeness(&self, wanted: &[f32], place: usize) -> f32 {
        let candidate = &self.held[place - self.dropped..][..BLOCK];
        let (mut product, mut power) = (f32x8::ZERO, f32x8::ZERO);
        for (a, b) in candidate.as_chunks().0.iter().zip(wanted.as_chunks().0) {
            let a = f32x8::from(*a);
            product += a * f32x8::from(*b);
            power += a * a;
        }
        product.reduce_add() / (power.reduce_add() + FAINT).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use proptest::prelude::*;

    use super::*;
    use crate::hibari::synth::SAMPLE_RATE;

    const SECOND: usize = SAMPLE_RATE as usize;

    /// What becomes of samples that come in pieces of this length.
    fn stretched(samples: &[f32], output: usize, piece: usize) -> Vec<f32> {
        let mut stretch = Stretch::new(samples.len(), output);
        let mut made = stretch.push(&[]);
        made.extend(samples.chunks(piece).flat_map(|piece| stretch.push(piece)));
        made
    }

    fn tone(pitch: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|index| (TAU * pitch * index as f32 / SAMPLE_RATE as f32).sin()).collect()
    }

    /// Tones that come and go, and noise: about as much alike as speech is.
    fn babble(samples: usize) -> Vec<f32> {
        let noise = |index: usize| (index as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32 - 0.5;
        let loudness = |index: usize| (index as f32 / 3_000.0).sin().max(0.0);
        let pitched = tone(170.0, samples).into_iter().zip(tone(391.0, samples)).enumerate();
        pitched.map(|(index, (a, b))| 0.3 * loudness(index) * (a + b) + 0.02 * noise(index)).collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_its_smoothness_at_any_length() {
        let pitch = 210.0;
        let steepest = TAU * pitch / SAMPLE_RATE as f32;
        for output in [SECOND / 4, SECOND / 2, SECOND * 9 / 10, SECOND * 11 / 10, 2 * SECOND, 4 * SECOND] {
            let made = stretched(&tone(pitch, SECOND), output, 3_600);
            assert_eq!(made.len(), output);
            let rises = made.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
            let heard = rises as f32 * SAMPLE_RATE as f32 / output as f32;
            assert!((heard - pitch).abs() < 5.0, "{heard} Hz in {output} samples");
            let step = made.windows(2).map(|two| (two[1] - two[0]).abs()).fold(0.0, f32::max);
            assert!(step < 1.2 * steepest, "a step of {step} in {output} samples");
        }
    }

    #[test]
    fn what_is_to_stay_as_long_stays_as_it_is() {
        let samples = babble(10_000);
        assert_eq!(stretched(&samples, 10_000, 777), samples);
    }

    #[test]
    fn silence_stays_silence() {
        for output in [5_000, 40_000] {
            assert_eq!(stretched(&[0.0; 20_000], output, 1_000), vec![0.0; output]);
        }
    }

    #[test]
    fn little_is_kept_back_and_little_is_held() {
        let samples = babble(4 * SECOND);
        for output in [SECOND, 3 * SECOND, 5 * SECOND, 16 * SECOND] {
            let mut stretch = Stretch::new(samples.len(), output);
            let (mut came, mut given) = (0, 0);
            for piece in samples.chunks(1_000) {
                came += piece.len();
                given += stretch.push(piece).len();
                let kept_back = came.saturating_sub(given * samples.len() / output);
                assert!(kept_back < SECOND / 20, "{kept_back} of {came} for {output}");
                assert!(stretch.held.len() < 1_000 + SECOND / 10, "{} held", stretch.held.len());
            }
        }
    }

    #[test]
    fn too_few_too_many_and_unsound_samples_do_no_harm() {
        for (samples, output) in [(0, 0), (0, 700), (1, 0), (1, 1_000), (700, 1), (479, 5_000)] {
            assert_eq!(stretched(&babble(samples), output, 100).len(), output, "{samples} to {output}");
        }
        let mut stretch = Stretch::new(1_000, 2_000);
        let made: usize = [300, 0, 900, 5_000].map(|count| stretch.push(&babble(count)).len()).iter().sum();
        assert_eq!(made, 2_000);
        let unsound = [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE].repeat(500);
        assert_eq!(stretched(&unsound, 5_000, 50).len(), 5_000);
    }

    proptest! {
        #[test]
        fn the_samples_are_the_same_whatever_the_pieces(
            samples in 0..9_000_usize,
            times in 0.2..5.0_f32,
            piece in 1..3_000_usize,
        ) {
            let output = (samples as f32 * times) as usize;
            let whole = stretched(&babble(samples), output, samples.max(1));
            prop_assert_eq!(whole.len(), output);
            prop_assert!(stretched(&babble(samples), output, piece) == whole);
        }
    }
}
