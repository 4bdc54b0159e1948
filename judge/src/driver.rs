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

/// Texts to speak.
struct Chosen {
    prompts: Prompts,
    /// What is wrong with them, if something is.
    trouble: Option<String>,
}

/// Speaks prompts whenever they are needed, for ever. `hears` tells what the
/// recogniser can make something of.
pub async fn drive(judge: Arc<Judge>, hears: impl Fn(Script) -> bool) {
    let speaker = Speaker::default();
    let mut chosen = None;
    loop {
        if !needed(&judge) {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let ready = match &mut chosen {
            Some(ready) => ready,
            None => match choose(&judge, &speaker, &hears).await {
                Some(fresh) => chosen.insert(fresh),
                None => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        judge.trouble(Part::Prompts, ready.trouble.clone());
        let prompt = ready.prompts.next_prompt();
        match speak(&judge.session, &speaker, &prompt).await {
            Ok(job) => {
                judge.trouble(Part::Baseline, None);
                judge.trouble(Part::Candidate, None);
                // There is room, as nobody else speaks prompts.
                judge.queue.push(job);
            }
            Err((part, what)) => {
                judge.trouble(part, Some(what));
                ready.prompts.give_back();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn needed(judge: &Judge) -> bool {
    let after = Duration::from_secs(u64::from(judge.session.prompt_after_seconds));
    let quiet = judge.quiet().is_none_or(|quiet| quiet >= after);
    quiet && !judge.callers_will_do() && judge.hears() && judge.queue.has_room_for_prompt()
}

/// The texts to speak; none while that cannot be told.
async fn choose(judge: &Judge, speaker: &Speaker, hears: &impl Fn(Script) -> bool) -> Option<Chosen> {
    if let Some(given) = &judge.session.prompts {
        let what = "the texts of spec.rollout.shadow.promptsFrom";
        return Some(Chosen::new(Prompts::given(given, hears), what));
    }
    let languages = match speaker.languages(&judge.session.baseline_url).await {
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
