//! A model that has been loaded speaks before anyone hears it: check sentences,
//! whose audio must be sound. Whether it is good is not judged here.

use std::ops::ControlFlow;

use ttsfleet_models::{SpeechModel, Utterance};

/// A sentence, and what its audio may take.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Check {
    text: &'static str,
    /// Seconds for a character, from and to.
    pace: (f32, f32),
}

/// Much quicker and much slower than people read aloud.
const LETTERS: (f32, f32) = (0.02, 0.4);
const HANZI: (f32, f32) = (0.06, 1.2);

const ENGLISH: [Check; 2] = [
    Check { text: "The old bridge was closed because of the heavy rain.", pace: LETTERS },
    Check { text: "Please call me back at half past nine tomorrow morning.", pace: LETTERS },
];
const CHINESE: [Check; 2] = [
    Check { text: "因为下大雨，那座老桥今天关闭了。", pace: HANZI },
    Check { text: "请在明天早上九点半给我回电话。", pace: HANZI },
];
/// For languages without sentences of their own: a digit takes any word.
const DIGITS: [Check; 1] = [Check { text: "1, 2, 3, 4, 5, 6, 7, 8.", pace: (0.02, 1.2) }];

/// −40 dB: quieter is nothing that one could hear.
const QUIETEST_PEAK: f32 = 0.01;
/// −60 dB: less is a click in silence.
const QUIETEST_RMS: f32 = 0.001;
/// Samples belong between −1 and 1; a little more is clipped and not heard.
const LOUDEST_PEAK: f32 = 4.0;

/// Has the model speak, and judges what it says.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn warm_up(model: &dyn SpeechModel) -> Result<(), String> {
    let manifest = model.manifest();
    let voice = manifest.voices.first().ok_or("the model has no voices")?;
    for check in checks(&manifest.languages) {
        let heard = listen(model, voice, &check)
            .map_err(|reason| format!("the model cannot speak {:?}: {reason}", check.text))?;
        judge(&heard, &check, manifest.sample_rate)
            .map_err(|reason| format!("the model's audio for {:?} {reason}", check.text))?;
    }
    Ok(())
}

fn checks(languages: &[String]) -> Vec<Check> {
    let speaks = |tag: &str| {
        let primary = |language: &String| language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        languages.iter().any(|language| primary(language) == tag)
    };
    let mut checks = Vec::new();
    if speaks("en") {
        checks.extend(ENGLISH);
    }
    if speaks("zh") {
        checks.extend(CHINESE);
    }
    if checks.is_empty() {
        checks.extend(DIGITS);
    }
    checks
}

/// What is kept of audio.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Heard {
    samples: usize,
    peak: f32,
    squares: f64,
    not_finite: bool,
}

impl Heard {
    fn add(&mut self, samples: &[f32]) {
        self.samples += samples.len();
        for sample in samples {
            self.not_finite |= !sample.is_finite();
            self.peak = self.peak.max(sample.abs());
            self.squares += f64::from(*sample).powi(2);
        }
    }

    fn rms(&self) -> f32 {
        (self.squares / self.samples.max(1) as f64).sqrt() as f32
    }
}

/// Breaks off what goes on for too long, as a broken model may go on for ever.
fn listen(model: &dyn SpeechModel, voice: &str, check: &Check) -> Result<Heard, String> {
    let utterance = Utterance { text: check.text, voice, speed: 1.0, lexicon: &[] };
    let script = model.read(&utterance).map_err(|error| error.to_string())?;
    let most = (longest(check) * model.manifest().sample_rate as f32) as usize;
    let mut heard = Heard::default();
    let spoken = model.say(&script, &mut |samples| {
        heard.add(samples);
        if heard.samples > most || heard.not_finite {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    spoken.map_err(|error| error.to_string())?;
    Ok(heard)
}

fn judge(heard: &Heard, check: &Check, sample_rate: u32) -> Result<(), String> {
    let seconds = heard.samples as f32 / sample_rate as f32;
    let (shortest, longest) = (length(check) * check.pace.0, longest(check));
    if heard.not_finite {
        return Err("has values that are not numbers".to_owned());
    }
    if heard.samples == 0 {
        return Err("is empty".to_owned());
    }
    if seconds < shortest {
        return Err(format!("is too short: {seconds:.2} s, and at least {shortest:.2} s are plausible"));
    }
    if seconds > longest {
        return Err(format!("is too long: more than the {longest:.1} s that are plausible"));
    }
    if heard.peak < QUIETEST_PEAK || heard.rms() < QUIETEST_RMS {
        return Err(format!("is silent: peak {:.5}, RMS {:.5}", heard.peak, heard.rms()));
    }
    if heard.peak > LOUDEST_PEAK {
        return Err(format!("is far beyond its range: peak {:.1} instead of 1", heard.peak));
    }
    Ok(())
}

fn longest(check: &Check) -> f32 {
    length(check) * check.pace.1
}

fn length(check: &Check) -> f32 {
    check.text.chars().count() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1000;
    const CHECK: Check = Check { text: "0123456789", pace: LETTERS };

    fn heard(seconds: f32, sample: f32) -> Heard {
        let mut heard = Heard::default();
        heard.add(&vec![sample; (seconds * RATE as f32) as usize]);
        heard
    }

    #[test]
    fn sound_audio_is_let_pass() {
        for (seconds, sample) in [(0.21, 0.02), (1.0, 0.5), (3.9, 1.1)] {
            assert_eq!(judge(&heard(seconds, sample), &CHECK, RATE), Ok(()), "{seconds} s of {sample}");
        }
    }

    #[test]
    fn unsound_audio_is_refused_in_words() {
        let mut click = heard(1.0, 0.0);
        click.add(&[0.02]);
        for (audio, word) in [
            (heard(0.0, 0.0), "empty"),
            (heard(0.19, 0.5), "too short"),
            (heard(4.1, 0.5), "too long"),
            (heard(1.0, 0.0), "silent"),
            (heard(1.0, 0.005), "silent"),
            (click, "silent"),
            (heard(1.0, 40.0), "range"),
            (heard(1.0, f32::NAN), "not numbers"),
            (heard(1.0, f32::NEG_INFINITY), "not numbers"),
        ] {
            let reason = judge(&audio, &CHECK, RATE).unwrap_err();
            assert!(reason.contains(word), "{reason}, not {word}");
        }
    }

    #[test]
    fn the_sentences_are_in_the_models_languages() {
        let of =
            |languages: &[&str]| checks(&languages.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["en-US"]), ENGLISH);
        assert_eq!(of(&["ZH-hans"]), CHINESE);
        assert_eq!(of(&["zh", "en"]), [ENGLISH, CHINESE].concat());
        assert_eq!(of(&["fr"]), DIGITS);
        assert_eq!(of(&["enx"]), DIGITS);
    }
}
