//! Puts texts to both sides: callers', and prompts among them and where callers
//! send too few.
//!
//! Both sides are asked alike: the same text, one attempt, over a connection of
//! its own, with the same bounds, by somebody who asks one thing at a time. Who
//! goes first is chance.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ttsfleet_reading::{Glossary, composed};
use ttsfleet_wire::{
    judge::{MirroredRequest, Session},
    lexicon::{self, Lexicon, Pronunciation},
};

use crate::{
    judge::{Judge, Part},
    metrics::Fate,
    mix::{First, Order, Seen, prompt_is_due},
    normalise::Script,
    pair::{Job, Spoken},
    prompts::{Prompt, Prompts},
    speak::{self, Answer},
};

/// How often it looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(2);

/// Puts texts to both sides, for ever. `hears` tells what the recogniser can make
/// something of.
pub async fn drive(judge: Arc<Judge>, hears: impl Fn(Script) -> bool) {
    let mut driver = Driver { judge: &judge, hears, chosen: None, choose_from: None, since_prompt: 0 };
    let mut order = Order::default();
    loop {
        let Some(text) = driver.next().await else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        let first = order.next(&mut rand::rng());
        match pair(&judge.session, &text, first).await {
            Ok(job) => {
                judge.trouble(Part::Baseline, None);
                judge.trouble(Part::Candidate, None);
                if is_wordless(&job) {
                    judge.metrics.pair(text.from_prompt, Fate::Wordless);
                    // Nobody listens, who would else set the pace.
                    tokio::time::sleep(LOOK_EVERY).await;
                } else {
                    // There is room, as nobody else makes pairs.
                    judge.queue.push(job);
                }
            }
            Err((part, what)) => {
                judge.trouble(part, Some(what));
                judge.metrics.pair(text.from_prompt, Fate::Away);
                driver.give_back(&text);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Something to be spoken by both.
struct Text {
    request: MirroredRequest,
    /// How it is said, where its letters do not tell.
    said: Option<String>,
    from_prompt: bool,
}

struct Driver<'a, H> {
    judge: &'a Judge,
    hears: H,
    /// The prompts.
    chosen: Option<Chosen>,
    /// When to try again to choose some, where that failed.
    choose_from: Option<Instant>,
    /// Callers' texts since the last prompt.
    since_prompt: u32,
}

/// Prompts.
struct Chosen {
    prompts: Prompts,
    /// What is wrong with them, if something is.
    trouble: Option<String>,
}

impl<H: Fn(Script) -> bool> Driver<'_, H> {
    /// The next text, if somebody would listen to it.
    async fn next(&mut self) -> Option<Text> {
        let judge = self.judge;
        if !judge.hears() || !judge.queue.has_room() {
            return None;
        }
        let seen = Seen {
            callers_wait: !judge.inbox.is_empty(),
            since_prompt: self.since_prompt,
            quiet: judge.quiet(),
            fill_after: Duration::from_secs(u64::from(judge.session.prompt_after_seconds)),
        };
        if prompt_is_due(&seen) {
            // Where there are none, callers' texts are spoken nevertheless.
            self.since_prompt = 0;
            if let Some(text) = self.prompt().await {
                return Some(text);
            }
        }
        let request = judge.inbox.take()?;
        self.since_prompt += 1;
        let said = respelled(&request);
        Some(Text { request, said, from_prompt: false })
    }

    async fn prompt(&mut self) -> Option<Text> {
        if self.chosen.is_none() && self.choose_from.is_none_or(|from| from <= Instant::now()) {
            self.chosen = choose(self.judge, &self.hears).await;
            self.choose_from = Some(Instant::now() + PAUSE);
        }
        let chosen = self.chosen.as_mut()?;
        self.judge.trouble(Part::Prompts, chosen.trouble.clone());
        let Prompt { text, said, speed } = chosen.prompts.next_prompt();
        let request = MirroredRequest { text, model: None, voice: None, speed, lexicon: Lexicon::new() };
        Some(Text { request, said, from_prompt: true })
    }

    /// A text was not spoken after all. A caller's is let go: there are others.
    fn give_back(&mut self, text: &Text) {
        if let (true, Some(chosen)) = (text.from_prompt, &mut self.chosen) {
            chosen.prompts.give_back();
        }
    }
}

/// How a text is said that has words of a lexicon. Phonemes are no letters: those
/// words stay as they are written.
fn respelled(request: &MirroredRequest) -> Option<String> {
    let MirroredRequest { text, lexicon, .. } = request;
    let words: Vec<_> = lexicon.keys().map(|word| composed(word)).collect();
    let glossary = Glossary::new(words.iter().map(AsRef::as_ref));
    let entries: Vec<_> = lexicon.iter().collect();
    let said = || {
        glossary.replace(&composed(text), |found| {
            match lexicon::read(entries[found.number].0, entries[found.number].1) {
                Ok(Pronunciation::Respelling(words)) => Some(words.into()),
                Ok(Pronunciation::Phonemes(_)) | Err(_) => None,
            }
        })
    };
    (!glossary.is_empty()).then(said)
}

/// The prompts; none while it cannot be told which.
async fn choose(judge: &Judge, hears: &impl Fn(Script) -> bool) -> Option<Chosen> {
    if let Some(given) = &judge.session.prompts {
        let what = "the texts of spec.rollout.shadow.promptsFrom";
        return Some(Chosen::new(Prompts::given(given, hears), what));
    }
    let languages = match speak::languages(&judge.session.baseline_url).await {
        Ok(languages) => languages,
        Err(what) => {
            judge.trouble(Part::Baseline, Some(format!("the stable model's pods: {what}")));
            return None;
        }
    };
    judge.trouble(Part::Baseline, None);
    let spoken = languages.join(", ");
    let Some(built_in) = Prompts::built_in(&languages, hears) else {
        let what = "give some in spec.rollout.shadow.promptsFrom";
        judge.trouble(Part::Prompts, Some(format!("there are no built-in prompts in {spoken}; {what}")));
        return None;
    };
    Some(Chosen::new(built_in, &spoken))
}

impl Chosen {
    /// Prompts that are not heard are spoken all the same: of quality and melody
    /// they tell as much. That they do not of the error rate is said.
    fn new(prompts: Prompts, what: &str) -> Self {
        let trouble = (!prompts.heard()).then(|| {
            format!("the recogniser does not hear {what}; take another one in spec.rollout.judge.recogniser")
        });
        Self { prompts, trouble }
    }
}

/// Both sides one after the other, so that neither takes the other's time.
async fn pair(session: &Session, text: &Text, first: First) -> Result<Job, (Part, String)> {
    let baseline = async || {
        let answer = speak::speak(&session.baseline_url, &text.request).await;
        side(answer, session.baseline_digest.as_deref())
            .map_err(|what| (Part::Baseline, format!("the stable model's pods: {what}")))
    };
    let candidate = async || {
        let answer = speak::speak(&session.candidate_url, &text.request).await;
        side(answer, session.candidate_digest.as_deref())
            .map_err(|what| (Part::Candidate, format!("the candidate's pods: {what}")))
    };
    let (baseline, candidate) = match first {
        First::Baseline => {
            let baseline = baseline().await?;
            (baseline, candidate().await?)
        }
        First::Candidate => {
            let candidate = candidate().await?;
            (baseline().await?, candidate)
        }
    };
    let Text { request, said, from_prompt } = text;
    let (text, said) = (request.text.clone(), said.clone());
    Ok(Job { text, said, baseline, candidate, from_prompt: *from_prompt })
}

/// Whether neither side found words in the text. Two silences are equally good,
/// whatever the models; where one side found words, the other one failed to.
fn is_wordless(job: &Job) -> bool {
    let wordless = |side: &Option<Spoken>| side.as_ref().is_some_and(|spoken| spoken.no_words);
    wordless(&job.baseline) && wordless(&job.candidate)
}

fn side(answer: Answer, under_test: Option<&str>) -> Result<Option<Spoken>, String> {
    match (answer, under_test) {
        (Answer::Away(why), _) => Err(why),
        (Answer::Failed, _) => Ok(None),
        (Answer::Spoken { digest, .. }, Some(wanted)) if digest.as_deref() != Some(wanted) => {
            let found = digest.as_deref().unwrap_or("of unknown digest");
            Err(format!("the model that speaks is {found}, not {wanted}"))
        }
        (Answer::Spoken { spoken, .. }, _) => Ok(Some(spoken)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_lexicon_are_expected_as_they_are_respelled() {
        let request = |lexicon: &[(&str, &str)]| MirroredRequest {
            text: "Use kubectl for a GIF.".to_owned(),
            model: None,
            voice: None,
            speed: None,
            lexicon: lexicon.iter().map(|(word, said)| (word.to_string(), said.to_string())).collect(),
        };
        let said = respelled(&request(&[("Kubectl", "cube control"), ("gif", "/dʒɪf/")]));
        assert_eq!(said.as_deref(), Some("Use cube control for a GIF."));
        assert_eq!(respelled(&request(&[])), None);
        let cafe = MirroredRequest { text: "A cafe\u{301}.".to_owned(), ..request(&[("café", "caffay")]) };
        assert_eq!(respelled(&cafe).as_deref(), Some("A caffay."), "however its accent is written");
    }
}
