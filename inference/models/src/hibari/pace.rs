//! Keeping to the speed that was asked for.

use super::synth::HOP;

/// The speeds that the voice plans for; the rest of the way its sound is
/// stretched. It plans no phoneme shorter than a step of two frames, so that
/// faster than this it would be hasty in its vowels alone; slower, stretching is
/// understood about as well and costs less.
const SLOWEST: f32 = 0.8;
const FASTEST: f32 = 1.25;

/// The speed to plan with.
pub(super) fn planned(speed: f32) -> f32 {
    speed.clamp(SLOWEST, FASTEST)
}

/// Samples of a sentence that takes so many steps at the voice's own pace.
pub(super) fn samples(unhurried: usize, speed: f32) -> usize {
    ((2 * HOP * unhurried) as f64 / f64::from(speed)).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_takes_as_long_as_the_speed_says() {
        assert_eq!(samples(40, 1.0), 24_000);
        assert_eq!(samples(40, 4.0), 6_000);
        assert_eq!(samples(40, 0.25), 96_000);
        assert_eq!(samples(7, 1.3), 3_231);
        assert_eq!(samples(100_000, 1.0), 60_000_000);
    }

    #[test]
    fn the_voice_plans_what_it_can() {
        assert_eq!([0.25, 1.0, 1.1, 4.0].map(planned), [SLOWEST, 1.0, 1.1, FASTEST]);
    }
}
