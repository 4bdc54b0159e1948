//! The built-in voice, and what may go wrong with one.

use std::{fmt, ops::ControlFlow};

use anyhow::{Context, Result};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use ttsfleet_ears::Clip;
use ttsfleet_models::{ModelFolder, SpeechModel, Utterance};

/// What one side does wrong, and how badly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// White noise, so many decibels below the voice.
    Noise(f32),
    /// Share of the letters that are not spoken.
    Dropped(f64),
    /// Semitones higher.
    Pitch(f32),
    /// Times as fast.
    Speed(f32),
    /// Share of the audio cut off at the end.
    Cut(f32),
    /// Seconds of silence added at the end.
    Silence(f32),
    /// Decibels louder.
    Louder(f32),
    /// Nothing above 8 kHz.
    Dull,
}

pub(crate) const FAULTS: [Fault; 26] = [
    Fault::Noise(50.0),
    Fault::Noise(40.0),
    Fault::Noise(30.0),
    Fault::Noise(20.0),
    Fault::Dropped(0.01),
    Fault::Dropped(0.02),
    Fault::Dropped(0.04),
    Fault::Dropped(0.08),
    Fault::Pitch(0.5),
    Fault::Pitch(1.0),
    Fault::Pitch(2.0),
    Fault::Pitch(4.0),
    Fault::Speed(1.05),
    Fault::Speed(1.1),
    Fault::Speed(1.2),
    Fault::Cut(0.05),
    Fault::Cut(0.1),
    Fault::Cut(0.2),
    Fault::Silence(0.3),
    Fault::Silence(0.6),
    Fault::Silence(1.2),
    Fault::Louder(2.0),
    Fault::Louder(5.0),
    Fault::Louder(-5.0),
    Fault::Louder(-12.0),
    Fault::Dull,
];

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise(decibels) => write!(formatter, "noise {decibels} dB below"),
            Self::Dropped(share) => write!(formatter, "{:.0} % of letters dropped", share * 100.0),
            Self::Pitch(semitones) => write!(formatter, "{semitones} semitones higher"),
            Self::Speed(times) => write!(formatter, "{times} times as fast"),
            Self::Cut(share) => write!(formatter, "last {:.0} % cut off", share * 100.0),
            Self::Silence(seconds) => write!(formatter, "{seconds} s of silence added"),
            Self::Louder(decibels) => write!(formatter, "{decibels} dB louder"),
            Self::Dull => write!(formatter, "nothing above 8 kHz"),
        }
    }
}

/// The voice.
pub(crate) struct Speech(Box<dyn SpeechModel>);

impl Speech {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self(ttsfleet_models::load(&ModelFolder::embedded(ttsfleet_voice::FILES)?)?))
    }

    /// A text as the voice says it at a speed.
    pub(crate) fn speak(&self, text: &str, speed: f32) -> Result<Clip> {
        let manifest = self.0.manifest();
        let voice = manifest.voices.first().context("the voice has no name")?;
        let mut samples = Vec::new();
        self.0.speak(&Utterance { text, voice, speed, lexicon: &[] }, &mut |part| {
            samples.extend_from_slice(part);
            ControlFlow::Continue(())
        })?;
        Ok(Clip { samples, rate: manifest.sample_rate })
    }

    /// The same with a fault.
    pub(crate) fn spoil(&self, text: &str, speed: f32, fault: Fault, seed: u64) -> Result<Clip> {
        let mut random = SmallRng::seed_from_u64(seed);
        match fault {
            Fault::Dropped(share) => self.speak(&without_some(text, share, &mut random), speed),
            Fault::Speed(times) => self.speak(text, speed * times),
            Fault::Pitch(semitones) => {
                // Played faster a slower voice is higher.
                let times = 2.0_f32.powf(semitones / 12.0);
                let slow = self.speak(text, speed / times)?;
                let faster = Clip { rate: (slow.rate as f32 * times).round() as u32, ..slow };
                Ok(faster.at(self.0.manifest().sample_rate).into_owned())
            }
            Fault::Louder(decibels) => {
                let mut clip = self.speak(text, speed)?;
                let times = 10.0_f32.powf(decibels / 20.0);
                clip.samples.iter_mut().for_each(|sample| *sample = (*sample * times).clamp(-1.0, 1.0));
                Ok(clip)
            }
            Fault::Dull => {
                let clip = self.speak(text, speed)?;
                Ok(clip.at(16_000).at(clip.rate).into_owned())
            }
            Fault::Noise(decibels) => {
                let mut clip = self.speak(text, speed)?;
                let power = clip.samples.iter().map(|sample| sample * sample).sum::<f32>();
                let loudness = (power / clip.samples.len() as f32).sqrt();
                // Of even noise between −1 and 1 the loudness is 1 / √3.
                let most = loudness * 3.0_f32.sqrt() * 10.0_f32.powf(-decibels / 20.0);
                clip.samples.iter_mut().for_each(|sample| *sample += random.random_range(-most..most));
                Ok(clip)
            }
            Fault::Cut(share) => {
                let mut clip = self.speak(text, speed)?;
                clip.samples.truncate((clip.samples.len() as f32 * (1.0 - share)) as usize);
                Ok(clip)
            }
            Fault::Silence(seconds) => {
                let mut clip = self.speak(text, speed)?;
                clip.samples.resize(clip.samples.len() + (clip.rate as f32 * seconds) as usize, 0.0);
                Ok(clip)
            }
        }
    }
}

fn without_some(text: &str, share: f64, random: &mut SmallRng) -> String {
    text.chars().filter(|letter| !letter.is_alphabetic() || !random.random_bool(share)).collect()
}
