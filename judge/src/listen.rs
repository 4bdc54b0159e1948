//! One pair, from audio to numbers.

use ttsfleet_ears::{
    Clip, Mos, decode,
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
    pub fn judge(&mut self, job: &Job) -> Judged {
        let clips = [&job.baseline, &job.candidate].map(|side| side.as_ref().and_then(clip));
        let failed = clips.each_ref().map(Option::is_none);
        let mut sample = Sample { from_prompt: job.from_prompt, failed, ..Sample::default() };
        let ([Some(first), Some(second)], Some(baseline), Some(candidate)) =
            (&clips, &job.baseline, &job.candidate)
        else {
            return Judged { sample, deaf: None };
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
        compare(&mut sample, &job.text, &first, &second);
        Judged { sample, deaf }
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

fn clip(spoken: &Spoken) -> Option<Clip> {
    match decode(&spoken.content_type, spoken.sample_rate, &spoken.audio) {
        Ok(clip) => Some(clip),
        Err(error) => {
            tracing::debug!(%error, "audio that cannot be played");
            None
        }
    }
}

fn compare(sample: &mut Sample, text: &str, first: &Heard, second: &Heard) {
    let rate = |heard: &Heard| character_error_rate(text, heard.transcript.as_deref()?);
    sample.cer = rate(first).zip(rate(second)).map(<[f64; 2]>::from);
    sample.mos = first.mos.zip(second.mos).map(<[f64; 2]>::from);
    sample.prosody = Some(f64::from(prosody::distance(&first.contour, &second.contour).total));
}
