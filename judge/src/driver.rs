//! Speaks prompts to both sides where callers send too few pairs.

use std::{sync::Arc, time::Duration};

use ttsfleet_wire::judge::Session;

use crate::{
    judge::{Judge, Part},
    normalise::Script,
    pair::{Job, Spoken},
    prompts::{Prompt, Prompts},
    speak::{Answer, Speaker},
};

/// How often it looks whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Pause after something went wrong.
const PAUSE: Duration = Duration::from_secs(2);
/// Prompts that wait to be judged: more would only make old audio.
const MOST_WAITING: usize = 2;

/// Speaks prompts whenever they are needed, for ever. `hears` tells what the
/// recogniser can make something of.
pub async fn drive(judge: Arc<Judge>, hears: impl Fn(Script) -> bool) {
    let speaker = Speaker::default();
    let mut prompts = None;
    loop {
        if !needed(&judge) {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let ready = match &mut prompts {
            Some(ready) => ready,
            None => match choose(&judge, &speaker, &hears).await {
                Some(chosen) => prompts.insert(chosen),
                None => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let prompt = ready.next_prompt();
        match speak(&judge.session, &speaker, &prompt).await {
            Ok(job) => {
                judge.trouble(Part::Baseline, None);
                judge.trouble(Part::Candidate, None);
                judge.take(job);
            }
            Err((part, what)) => {
                judge.trouble(part, Some(what));
                ready.give_back();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn needed(judge: &Judge) -> bool {
    let after = Duration::from_secs(u64::from(judge.session.prompt_after_seconds));
    let quiet = judge.quiet().is_none_or(|quiet| quiet >= after);
    quiet && judge.hears() && judge.queue.len() < MOST_WAITING
}

/// The texts to speak; none while that cannot be told.
async fn choose(judge: &Judge, speaker: &Speaker, hears: &impl Fn(Script) -> bool) -> Option<Prompts> {
    if let Some(given) = &judge.session.prompts {
        return Some(Prompts::given(given));
    }
    let languages = match speaker.languages(&judge.session.baseline_url).await {
        Ok(languages) => languages,
        Err(what) => {
            judge.trouble(Part::Baseline, Some(format!("the stable model's pods: {what}")));
            return None;
        }
    };
    judge.trouble(Part::Baseline, None);
    let built_in = Prompts::built_in(&languages, hears);
    let trouble = match &built_in {
        None => Some(format!(
            "there are no built-in prompts in {}; give some in spec.rollout.shadow.promptsFrom",
            languages.join(", ")
        )),
        Some(prompts) if !prompts.heard() => Some(format!(
            "the recogniser does not hear {}; take another one in spec.rollout.judge.recogniser",
            languages.join(", ")
        )),
        Some(_) => None,
    };
    judge.trouble(Part::Prompts, trouble);
    built_in
}

/// Both sides one after the other, so that neither takes the other's time.
async fn speak(session: &Session, speaker: &Speaker, prompt: &Prompt) -> Result<Job, (Part, String)> {
    let baseline = async || {
        let answer = speaker.speak(&session.baseline_url, &prompt.text, prompt.speed).await;
        side(answer, session.baseline_digest.as_deref())
            .map_err(|what| (Part::Baseline, format!("the stable model's pods: {what}")))
    };
    let candidate = async || {
        let answer = speaker.speak(&session.candidate_url, &prompt.text, prompt.speed).await;
        side(answer, session.candidate_digest.as_deref())
            .map_err(|what| (Part::Candidate, format!("the candidate's pods: {what}")))
    };
    let (baseline, candidate) = if prompt.baseline_first {
        let baseline = baseline().await?;
        (baseline, candidate().await?)
    } else {
        let candidate = candidate().await?;
        (baseline().await?, candidate)
    };
    Ok(Job { text: prompt.text.clone(), baseline, candidate, from_prompt: true })
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
