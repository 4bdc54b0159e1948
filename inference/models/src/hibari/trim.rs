//! Silence around a text is left out: nobody asked for it, and all would wait
//! for it.

use std::time::Duration;

use super::{finish::FADE, synth::SAMPLE_RATE};

/// −50 dB: what is quieter is not heard.
const QUIET: f32 = 0.003;
/// Left before the first sound.
pub(super) const BEFORE: Duration = Duration::from_millis(30);
/// Left after the last one, for it to die away.
pub(super) const AFTER: Duration = Duration::from_millis(150);
const SAMPLES_BEFORE: usize = samples(BEFORE);
const SAMPLES_AFTER: usize = samples(AFTER);
/// Longer silence, 3 s, is not the voice's way to begin and end; it stays.
const LONGEST: usize = 3 * SAMPLE_RATE as usize;

/// Takes the samples of a text and gives those to be heard, a little later where
/// they might be its last ones.
pub(super) struct Trim {
    held: Vec<f32>,
    begun: bool,
    /// Quiet samples given since the last sound.
    quiet: usize,
}

impl Trim {
    pub(super) fn new() -> Self {
        Self { held: Vec::new(), begun: false, quiet: 0 }
    }

    /// The samples that can be heard now; `last` if they are of the last
    /// sentence, which may be quiet from here on.
    pub(super) fn push(&mut self, samples: &[f32], last: bool) -> Vec<f32> {
        self.held.extend_from_slice(samples);
        if !self.begun && !self.begin() {
            return Vec::new();
        }
        let all = self.held.len();
        let sound = self.held.iter().rposition(is_sound);
        let known = match sound {
            _ if !last || all > LONGEST => all,
            Some(index) => index + 1 + SAMPLES_AFTER,
            None => SAMPLES_AFTER.saturating_sub(self.quiet),
        };
        // The very last ones are to fade.
        let given = if last { known.min(all).saturating_sub(FADE) } else { known };
        self.quiet = match sound {
            Some(index) if index < given => given - index - 1,
            Some(_) => 0,
            None => self.quiet + given,
        };
        self.held.drain(..given).collect()
    }

    /// The rest of the text. Where nothing ever sounded, that is all of it.
    pub(super) fn end(mut self) -> Vec<f32> {
        if self.begun {
            let sound = self.held.iter().rposition(is_sound);
            let kept =
                sound.map_or(SAMPLES_AFTER.saturating_sub(self.quiet), |index| index + 1 + SAMPLES_AFTER);
            self.held.truncate(kept);
        }
        for (index, sample) in self.held.iter_mut().rev().take(FADE).enumerate() {
            *sample *= index as f32 / FADE as f32;
        }
        self.held
    }

    /// Leaves out the silence before the first sound, if there is one already.
    fn begin(&mut self) -> bool {
        let Some(sound) = self.held.iter().position(is_sound) else {
            self.begun = self.held.len() > LONGEST;
            return self.begun;
        };
        self.begun = true;
        if let Some(silent @ 1..) = sound.checked_sub(SAMPLES_BEFORE) {
            self.held.drain(..silent);
            for (index, sample) in self.held.iter_mut().take(FADE).enumerate() {
                *sample *= index as f32 / FADE as f32;
            }
        }
        true
    }
}

const fn samples(length: Duration) -> usize {
    length.as_millis() as usize * SAMPLE_RATE as usize / 1000
}

fn is_sound(sample: &f32) -> bool {
    sample.abs() > QUIET
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: usize = SAMPLE_RATE as usize;

    fn silence(milliseconds: usize) -> Vec<f32> {
        vec![0.001; RATE * milliseconds / 1000]
    }

    fn sound(milliseconds: usize) -> Vec<f32> {
        vec![0.5; RATE * milliseconds / 1000]
    }

    /// What is heard of sentences, given in pieces of this many samples.
    fn heard(sentences: &[Vec<f32>], piece: usize) -> Vec<f32> {
        let mut trim = Trim::new();
        let mut heard = Vec::new();
        for (index, sentence) in sentences.iter().enumerate() {
            for samples in sentence.chunks(piece) {
                heard.extend(trim.push(samples, index + 1 == sentences.len()));
            }
        }
        heard.extend(trim.end());
        heard
    }

    #[test]
    fn silence_around_a_text_goes_and_within_it_stays_whatever_the_pieces() {
        let one = [silence(300), sound(500), silence(400)].concat();
        let two = [silence(300), sound(500), silence(200), sound(100), silence(500)].concat();
        let expected = [
            silence(30),
            sound(500),
            silence(400),
            silence(300),
            sound(500),
            silence(200),
            sound(100),
            silence(150),
        ]
        .concat();
        for piece in [7, 100, 3_600, RATE] {
            let heard = heard(&[one.clone(), two.clone()], piece);
            assert_eq!(heard.len(), expected.len(), "pieces of {piece}");
            assert_eq!(heard[FADE..heard.len() - FADE], expected[FADE..expected.len() - FADE]);
            assert_eq!((heard.first(), heard.last()), (Some(&0.0), Some(&0.0)));
        }
    }

    #[test]
    fn what_begins_at_once_is_not_touched() {
        let text = [silence(20), sound(100), silence(100)].concat();
        let heard = heard(std::slice::from_ref(&text), 500);
        assert_eq!(heard[..text.len() - FADE], text[..text.len() - FADE]);
        assert_eq!(heard.len(), text.len());
    }

    #[test]
    fn a_voice_that_is_silent_stays_silent_for_as_long() {
        for seconds in [1, 2, 7] {
            let text = silence(1000 * seconds);
            let all = heard(std::slice::from_ref(&text), 5_000);
            assert!(
                all.len() + SAMPLES_AFTER + 5_000 >= text.len().min(LONGEST),
                "{seconds} s became {}",
                all.len()
            );
        }
    }

    #[test]
    fn sound_is_not_kept_back() {
        let mut trim = Trim::new();
        assert!(trim.push(&silence(300), false).is_empty());
        assert_eq!(trim.push(&sound(500), false).len(), SAMPLES_BEFORE + RATE / 2);
        assert_eq!(trim.push(&sound(500), true).len(), RATE / 2 - FADE);
    }
}
