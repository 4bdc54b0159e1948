//! Keeping to the speed that was asked for.

use super::prosody::Prosody;

/// No phoneme is planned shorter than a step of two frames, so that what is asked
/// to be faster than this comes out slower than asked, and hasty in its vowels
/// alone.
const FASTEST: f32 = 1.5;

/// The speed to plan with.
pub(super) fn planned(speed: f32) -> f32 {
    speed.min(FASTEST)
}

/// The frames to be spoken of those planned, some left out or said twice, evenly,
/// so that the sentence takes as long as the speed says.
pub(super) fn paced(prosody: &Prosody, speed: f32) -> Vec<u32> {
    let planned = prosody.f0.len();
    let wanted = (2.0 * prosody.unhurried as f32 / speed).round().max(1.0) as usize;
    (0..wanted).map(|frame| ((2 * frame + 1) * planned / (2 * wanted)) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prosody(planned: usize, unhurried: usize) -> Prosody {
        let contour = || vec![0.0; 2 * planned];
        Prosody { phonemes: vec![0; planned], f0: contour(), energy: contour(), unhurried }
    }

    #[test]
    fn frames_are_left_out_or_repeated_evenly_until_the_length_is_right() {
        assert_eq!(paced(&prosody(6, 12), 4.0), [1, 3, 5, 7, 9, 11]);
        assert_eq!(paced(&prosody(6, 8), 2.0), [0, 2, 3, 5, 6, 8, 9, 11]);
        assert_eq!(paced(&prosody(300, 450), 4.0).len(), 225);
        assert_eq!(paced(&prosody(1, 2), 1.3), [0, 1, 1]);
        assert_eq!(paced(&prosody(79, 20), 0.25).len(), 160);
    }

    #[test]
    fn at_the_voices_own_pace_frames_are_as_planned() {
        assert!(paced(&prosody(10, 10), 1.0).into_iter().eq(0..20));
    }
}
