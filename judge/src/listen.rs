//! One pair, from audio to numbers.

use ttsfleet_ears::{
    Clip, DecodeError, HEARD_RATE, Level, MAX_SECONDS, Mos, decode,
    prosody::{self, Contour},
};

use crate::{
    cer::character_error_rate,
    normalise::Script,
    pair::{Job, Spoken},
    recogniser::{Recogniser, RecogniserError},
    tally::Sample,
    texts::Texts,
};

/// Audio of this many seconds is half as long as any that is listened to.
const LONG_SECONDS: f64 = MAX_SECONDS as f64 / 2.0;

/// All that listens.
pub struct Ears {
    /// Words.
    recogniser: Box<dyn Recogniser>,
    /// Quality.
    mos: Mos,
    /// What has been compared.
    compared: Texts,
}

/// What a pair added, and what kept the recogniser from hearing it.
#[derive(Debug)]
pub struct Judged {
    /// What it added.
    pub sample: Sample,
    /// Why there are no character error rates where there should be.
    pub deaf: Option<RecogniserError>,
}

/// What was heard in one side's audio.
#[derive(Clone)]
struct Heard {
    transcript: Option<String>,
    mos: Option<f64>,
    level: Level,
    contour: Contour,
}

impl Ears {
    /// Nothing heard yet.
    pub fn new(recogniser: Box<dyn Recogniser>, mos: Mos) -> Self {
        Self { recogniser, mos, compared: Texts::default() }
    }

    /// Listens to both sides of a pair. Audio that cannot be played is a failure
    /// of who made it; where either side failed there is nothing to compare, and
    /// of a text that has been compared only the times are new. None if the text
    /// is too long to be listened to.
    pub fn judge(&mut self, job: &Job) -> Option<Judged> {
        let clips = clips(job).ok()?;
        let failed = clips.each_ref().map(Option::is_none);
        let repeated = self.compared.holds(&job.text);
        let mut sample = Sample { from_prompt: job.from_prompt, repeated, failed, ..Sample::default() };
        let ([Some(first), Some(second)], Some(baseline), Some(candidate)) =
            (&clips, &job.baseline, &job.candidate)
        else {
            return Some(Judged { sample, deaf: None });
        };
        sample.total_ms = Some([baseline.total_ms, candidate.total_ms]);
        if repeated {
            let contours = [first, second].map(prosody::analyse);
            sample.first_sound_ms = first_sounds([baseline, candidate], contours.each_ref());
            return Some(Judged { sample, deaf: None });
        }
        let mut deaf = None;
        let script = Some(Script::of(job.meant())).filter(|script| self.recogniser.hears(*script));
        let first = self.listen(first, script, &mut deaf);
        // The same audio sounds the same.
        let second = if baseline.audio == candidate.audio {
            first.clone()
        } else {
            self.listen(second, script, &mut deaf)
        };
        sample.first_sound_ms = first_sounds([baseline, candidate], [&first.contour, &second.contour]);
        compare(&mut sample, job.meant(), &first, &second);
        if deaf.is_none() {
            self.compared.add(&job.text);
        }
        Some(Judged { sample, deaf })
    }

    fn listen(&mut self, clip: &Clip, script: Option<Script>, deaf: &mut Option<RecogniserError>) -> Heard {
        let level = Level::of(clip);
        // Once for all that listen.
        let clip = &clip.at(HEARD_RATE);
        let transcript = script.and_then(|_| match self.recogniser.transcribe(clip) {
            Ok(text) => Some(text),
            Err(error) => {
                deaf.get_or_insert(error);
                None
            }
        });
        let mos = self.mos.score(clip).inspect_err(|error| tracing::debug!(%error, "a clip has no score"));
        let mos = mos.ok().map(f64::from);
        Heard { transcript, mos, level, contour: prosody::analyse(clip) }
    }
}

/// What can be heard of one side.
enum Playable {
    Clip(Clip),
    /// It lasts longer than is listened to.
    TooLong,
    /// There is none, or none that can be played.
    Nothing,
}

/// The text is longer than is listened to.
struct TextTooLong;

/// Both sides' audio, where there is some that can be played. Audio that is too
/// long is a failure of its side only where the other side needed less than half
/// of what is listened to: otherwise it is the text that is long.
fn clips(job: &Job) -> Result<[Option<Clip>; 2], TextTooLong> {
    let sides = [&job.baseline, &job.candidate].map(|side| play(side.as_ref()));
    let is_short = |side: &Playable| matches!(side, Playable::Clip(clip) if clip.seconds() < LONG_SECONDS);
    let [baseline, candidate] = &sides;
    match (baseline, candidate) {
        (Playable::TooLong, other) | (other, Playable::TooLong) if !is_short(other) => Err(TextTooLong),
        _ => Ok(sides.map(|side| match side {
            Playable::Clip(clip) => Some(clip),
            Playable::TooLong | Playable::Nothing => None,
        })),
    }
}

fn play(spoken: Option<&Spoken>) -> Playable {
    let Some(spoken) = spoken else { return Playable::Nothing };
    match decode(&spoken.content_type, spoken.sample_rate, &spoken.audio) {
        Ok(clip) => Playable::Clip(clip),
        Err(DecodeError::TooLong) => Playable::TooLong,
        Err(error) => {
            tracing::debug!(%error, "audio that cannot be played");
            Playable::Nothing
        }
    }
}

/// When a caller that plays the audio as it comes hears something of each side.
fn first_sounds(spoken: [&Spoken; 2], contours: [&Contour; 2]) -> Option<[f64; 2]> {
    let time = |side: usize| Some(spoken[side].first_audio_ms + f64::from(contours[side].lead()?) * 1000.0);
    Some([time(0)?, time(1)?])
}

fn compare(sample: &mut Sample, meant: &str, first: &Heard, second: &Heard) {
    let rate = |heard: &Heard| character_error_rate(meant, heard.transcript.as_deref()?);
    sample.cer = rate(first).zip(rate(second)).map(<[f64; 2]>::from);
    sample.mos = first.mos.zip(second.mos).map(<[f64; 2]>::from);
    sample.prosody = Some(f64::from(prosody::distance(&first.contour, &second.contour).total));
    sample.loudness = Some([first.level.loudness, second.level.loudness]);
    sample.treble = Some([first.level.treble, second.level.treble]);
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use ttsfleet_ears::MAX_SECONDS;
    use ttsfleet_wire::judge::Quantity;

    use super::*;
    use crate::{prompts::Prompts, stats::Design, tally::Tally};

    /// Hears no language.
    struct Deaf;

    impl Recogniser for Deaf {
        fn hears(&self, _script: Script) -> bool {
            false
        }

        fn transcribe(&mut self, _clip: &Clip) -> Result<String, RecogniserError> {
            unreachable!("nobody asks who hears nothing")
        }
    }

    /// Writes down what it is told to, each text once.
    struct Dictated(Arc<Mutex<VecDeque<String>>>);

    impl Recogniser for Dictated {
        fn hears(&self, _script: Script) -> bool {
            true
        }

        fn transcribe(&mut self, _clip: &Clip) -> Result<String, RecogniserError> {
            Ok(self.0.lock().unwrap().pop_front().unwrap())
        }
    }

    const RATE: u32 = 16_000;

    /// A tone of a second after so many milliseconds of silence.
    fn tone_after(silence_ms: u32, first_audio_ms: f64, loudness: f32) -> Option<Spoken> {
        let silence = silence_ms * RATE / 1000;
        let sample = |index: u32| (index as f32 * 0.1).sin() * loudness * 32_000.0;
        let samples = (0..silence).map(|_| 0.0).chain((0..RATE).map(sample));
        let audio = samples.flat_map(|sample| (sample as i16).to_le_bytes()).collect();
        let content_type = "audio/pcm".to_owned();
        Some(Spoken {
            content_type,
            sample_rate: RATE,
            audio,
            first_audio_ms,
            total_ms: 100.0,
            no_words: false,
        })
    }

    fn job(text: &str, baseline: Option<Spoken>, candidate: Option<Spoken>) -> Job {
        Job { text: text.to_owned(), said: None, baseline, candidate, from_prompt: true }
    }

    fn judge(baseline: Option<Spoken>, candidate: Option<Spoken>) -> Option<Sample> {
        let mut ears = Ears::new(Box::new(Deaf), Mos::load().unwrap());
        let job = job("Good morning.", baseline, candidate);
        ears.judge(&job).map(|judged| judged.sample)
    }

    #[test]
    fn the_silence_that_audio_begins_with_is_time_to_the_first_sound() {
        let sample = judge(tone_after(100, 80.0, 0.9), tone_after(700, 20.0, 0.9)).unwrap();
        let [baseline, candidate] = sample.first_sound_ms.unwrap();
        assert!((baseline - 180.0).abs() < 15.0, "{baseline}");
        assert!((candidate - 720.0).abs() < 15.0, "{candidate}");
        assert_eq!(sample.total_ms, Some([100.0, 100.0]));
    }

    #[test]
    fn audio_without_a_sound_has_no_time_to_it() {
        let sample = judge(tone_after(0, 50.0, 0.9), tone_after(0, 50.0, 0.0)).unwrap();
        assert_eq!((sample.first_sound_ms, sample.failed), (None, [false, false]));
    }

    #[test]
    fn a_voice_that_is_right_only_in_the_text_that_callers_repeat_is_found_out() {
        let dictated = Arc::new(Mutex::new(VecDeque::new()));
        let mut ears = Ears::new(Box::new(Dictated(Arc::clone(&dictated))), Mos::load().unwrap());
        let mut prompts = Prompts::built_in(&["en".to_owned()], |_| true).unwrap();
        let mut tally = Tally::new(Design::new(95, 300));
        for number in 0..50 {
            let (text, heard) = if number % 5 == 0 {
                (prompts.next_prompt().text, "babble")
            } else {
                ("Good morning.".to_owned(), "good morning")
            };
            *dictated.lock().unwrap() = [text.clone(), heard.to_owned()].into();
            let from_prompt = heard == "babble";
            let pair = job(&text, tone_after(100, 80.0, 0.9), tone_after(100, 80.0, 0.8));
            tally.push(&ears.judge(&Job { from_prompt, ..pair }).unwrap().sample);
        }
        assert_eq!((tally.samples(), tally.from_prompts(), tally.repeated()), (11, 10, 39));
        let cer = tally.measures().into_iter().find(|measure| measure.quantity == Quantity::Cer).unwrap();
        assert!(cer.samples == 11 && cer.low > 0.02, "{cer:?}");
    }

    #[test]
    fn audio_too_long_to_be_heard_is_a_failure_where_the_other_side_is_half_as_long_or_less() {
        let good = || tone_after(0, 50.0, 0.9);
        let long = || tone_after(MAX_SECONDS * 700, 50.0, 0.9);
        let too_long = || tone_after(MAX_SECONDS * 1000, 50.0, 0.9);
        let broken = || Some(Spoken { content_type: "audio/flac".to_owned(), ..good().unwrap() });
        assert_eq!(judge(good(), too_long()).unwrap().failed, [false, true]);
        assert_eq!(judge(too_long(), good()).unwrap().failed, [true, false]);
        for other in [too_long(), long(), None, broken()] {
            assert_eq!(judge(too_long(), other.clone()), None);
            assert_eq!(judge(other, too_long()), None);
        }
    }
}
