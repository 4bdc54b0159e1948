//! One pair, from audio to numbers.

use ttsfleet_ears::{
    Clip, DecodeError, Mos, decode,
    prosody::{self, Contour},
};

use crate::{
    cer::character_error_rate,
    normalise::Script,
    pair::{Job, Spoken},
    recogniser::{Recogniser, RecogniserError},
    tally::Sample,
};

/// All that listens.
pub struct Ears {
    /// Words.
    pub recogniser: Box<dyn Recogniser>,
    /// Quality.
    pub mos: Mos,
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
    contour: Contour,
}

impl Ears {
    /// Listens to both sides of a pair. Audio that cannot be played is a failure
    /// of who made it; where either side failed there is nothing to compare.
    /// None if the text is too long to be listened to.
    pub fn judge(&mut self, job: &Job) -> Option<Judged> {
        let clips = clips(job).ok()?;
        let failed = clips.each_ref().map(Option::is_none);
        let mut sample = Sample { from_prompt: job.from_prompt, failed, ..Sample::default() };
        let ([Some(first), Some(second)], Some(baseline), Some(candidate)) =
            (&clips, &job.baseline, &job.candidate)
        else {
            return Some(Judged { sample, deaf: None });
        };
        sample.total_ms = Some([baseline.total_ms, candidate.total_ms]);
        let mut deaf = None;
        let script = Some(Script::of(&job.text)).filter(|script| self.recogniser.hears(*script));
        let first = self.listen(first, script, &mut deaf);
        // The same audio sounds the same.
        let second = if baseline.audio == candidate.audio {
            first.clone()
        } else {
            self.listen(second, script, &mut deaf)
        };
        let sounds = first_sound(baseline, &first).zip(first_sound(candidate, &second));
        sample.first_sound_ms = sounds.map(<[f64; 2]>::from);
        compare(&mut sample, &job.text, &first, &second);
        Some(Judged { sample, deaf })
    }

    fn listen(&mut self, clip: &Clip, script: Option<Script>, deaf: &mut Option<RecogniserError>) -> Heard {
        let transcript = script.and_then(|_| match self.recogniser.transcribe(clip) {
            Ok(text) => Some(text),
            Err(error) => {
                deaf.get_or_insert(error);
                None
            }
        });
        let mos = self.mos.score(clip).inspect_err(|error| tracing::debug!(%error, "a clip has no score"));
        let mos = mos.ok().map(f64::from);
        let contour = prosody::analyse(clip);
        Heard { transcript, mos, contour }
    }
}

/// Audio lasts longer than is listened to.
struct TooLong;

/// Both sides' audio, where there is some that can be played. Audio that is too
/// long is a failure only of a candidate whose stable model kept within bounds:
/// otherwise it is the text that is long.
fn clips(job: &Job) -> Result<[Option<Clip>; 2], TooLong> {
    let baseline = clip(job.baseline.as_ref())?;
    let candidate = match clip(job.candidate.as_ref()) {
        Err(TooLong) if baseline.is_some() => None,
        candidate => candidate?,
    };
    Ok([baseline, candidate])
}

fn clip(spoken: Option<&Spoken>) -> Result<Option<Clip>, TooLong> {
    let Some(spoken) = spoken else { return Ok(None) };
    match decode(&spoken.content_type, spoken.sample_rate, &spoken.audio) {
        Ok(clip) => Ok(Some(clip)),
        Err(DecodeError::TooLong) => Err(TooLong),
        Err(error) => {
            tracing::debug!(%error, "audio that cannot be played");
            Ok(None)
        }
    }
}

/// When a caller that plays the audio as it comes hears something.
fn first_sound(spoken: &Spoken, heard: &Heard) -> Option<f64> {
    Some(spoken.first_audio_ms + f64::from(heard.contour.lead()?) * 1000.0)
}

fn compare(sample: &mut Sample, text: &str, first: &Heard, second: &Heard) {
    let rate = |heard: &Heard| character_error_rate(text, heard.transcript.as_deref()?);
    sample.cer = rate(first).zip(rate(second)).map(<[f64; 2]>::from);
    sample.mos = first.mos.zip(second.mos).map(<[f64; 2]>::from);
    sample.prosody = Some(f64::from(prosody::distance(&first.contour, &second.contour).total));
}

#[cfg(test)]
mod tests {
    use ttsfleet_ears::MAX_SECONDS;

    use super::*;

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

    const RATE: u32 = 16_000;

    /// A tone of a second after so many milliseconds of silence.
    fn tone_after(silence_ms: u32, first_audio_ms: f64, loudness: f32) -> Option<Spoken> {
        let silence = silence_ms * RATE / 1000;
        let sample = |index: u32| (index as f32 * 0.1).sin() * loudness * 32_000.0;
        let samples = (0..silence).map(|_| 0.0).chain((0..RATE).map(sample));
        let audio = samples.flat_map(|sample| (sample as i16).to_le_bytes()).collect();
        let content_type = "audio/pcm".to_owned();
        Some(Spoken { content_type, sample_rate: RATE, audio, first_audio_ms, total_ms: 100.0 })
    }

    fn judge(baseline: Option<Spoken>, candidate: Option<Spoken>) -> Option<Sample> {
        let mut ears = Ears { recogniser: Box::new(Deaf), mos: Mos::load().unwrap() };
        let job = Job { text: "Good morning.".to_owned(), baseline, candidate, from_prompt: true };
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
    fn audio_too_long_to_be_heard_is_no_failure_but_of_a_candidate_alone() {
        let good = || tone_after(0, 50.0, 0.9);
        let too_long = || tone_after(MAX_SECONDS * 1000, 50.0, 0.9);
        let broken = || Some(Spoken { content_type: "audio/flac".to_owned(), ..good().unwrap() });
        assert_eq!(judge(good(), too_long()).unwrap().failed, [false, true]);
        for (baseline, candidate) in [
            (too_long(), good()),
            (too_long(), too_long()),
            (too_long(), None),
            (None, too_long()),
            (broken(), too_long()),
        ] {
            assert_eq!(judge(baseline, candidate), None);
        }
    }
}
