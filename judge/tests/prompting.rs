//! Prompts, spoken to two servers that the test plays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::sync::{
    Arc,
    mpsc::{Receiver, channel},
};

use serde_json::json;
use support::{Asked, Deaf, Server, judge_of, listen_and_drive, pairs, post_request, until};
use ttsfleet_ears::Clip;
use ttsfleet_judge::{
    judge::Judge,
    normalise::Script,
    recogniser::{Recogniser, RecogniserError},
};
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{Quantity, Session},
};

/// Hears the words of a clip each time that it is told to go on.
struct Told(Receiver<()>);

impl Recogniser for Told {
    fn hears(&self, _: Script) -> bool {
        true
    }

    fn transcribe(&mut self, _: &Clip) -> Result<String, RecogniserError> {
        self.0.recv().map_err(|_| RecogniserError::TooSlow(0))?;
        Ok(String::new())
    }
}

async fn start(baseline: Server, candidate: Server, prompts: Option<Vec<String>>) -> Arc<Judge> {
    let judge = judge_of(baseline, candidate, |session| session.prompts = prompts).await;
    listen_and_drive(&judge, Deaf);
    judge
}

#[tokio::test]
async fn without_callers_prompts_are_spoken_by_both_in_their_order() {
    let asked = Asked::default();
    let prompts = Some(vec!["One.".to_owned(), "Two.".to_owned()]);
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), prompts).await;
    let report = until(&judge, |report| pairs(report) >= 3).await;
    assert!(report.from_prompts == 2 && report.repeated >= 1 && report.trouble.is_none(), "{report:?}");
    let asked = asked.lock().unwrap();
    let told: Vec<_> = asked[..6].iter().map(|question| question.body["input"].as_str().unwrap()).collect();
    assert_eq!(told, ["One.", "One.", "Two.", "Two.", "One.", "One."]);
    let speeds: Vec<_> = asked[..6].iter().map(|question| &question.body["speed"]).collect();
    assert!(speeds[0].is_null() && speeds[4].is_number());
    assert_eq!(speeds[4], speeds[5]);
    assert!(asked.iter().all(|question| question.body["response_format"] == "pcm"));
}

#[tokio::test]
async fn a_candidate_that_fails_is_a_sample_and_one_that_is_away_is_trouble() {
    let asked = Asked::default();
    let failing = Server { failure: Some(ErrorCode::InferenceFailed), ..Server::new("new", &asked) };
    let judge = start(Server::new("old", &asked), failing, None).await;
    let report = until(&judge, |report| pairs(report) >= 2).await;
    let [errors] = &report.measures[..] else { panic!("{report:?}") };
    assert_eq!((errors.quantity, errors.baseline, errors.candidate), (Quantity::Errors, 0.0, 1.0));

    let full = Server { failure: Some(ErrorCode::ModelNotReady), ..Server::new("new", &asked) };
    let judge = start(Server::new("old", &asked), full, None).await;
    let report = until(&judge, |report| report.trouble.is_some()).await;
    let trouble = report.trouble.unwrap();
    assert!(trouble.contains("candidate") && trouble.contains("ModelNotReady"), "{trouble}");
    assert_eq!(report.samples, 0);
}

#[tokio::test]
async fn another_model_than_the_one_under_test_is_trouble() {
    let asked = Asked::default();
    let other = Server { digest: "sha256:b", ..Server::new("old", &asked) };
    let stable = |session: &mut Session| session.baseline_digest = Some("sha256:a".to_owned());
    let judge = judge_of(other, Server::new("new", &asked), stable).await;
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| report.trouble.is_some()).await;
    assert!(report.trouble.unwrap().contains("sha256:b"));
    assert_eq!(report.samples, 0);
}

#[tokio::test]
async fn without_texts_in_the_models_language_that_is_said() {
    let asked = Asked::default();
    let french = Server { language: "fr", ..Server::new("old", &asked) };
    let judge = start(french, Server::new("new", &asked), None).await;
    let report = until(&judge, |report| report.trouble.is_some()).await;
    assert!(report.trouble.unwrap().contains("promptsFrom"));
    assert!(asked.lock().unwrap().is_empty());

    let chinese = Server { language: "zh-CN", ..Server::new("old", &asked) };
    let judge = start(chinese, Server::new("new", &asked), None).await;
    let report = until(&judge, |report| report.samples > 0).await;
    assert!(report.trouble.unwrap().contains("recogniser"));
}

#[tokio::test]
async fn given_texts_that_are_not_heard_are_left_out_or_else_told_of() {
    let given = ["Good day.", "今天天气很好。"].map(str::to_owned);
    let asked = Asked::default();
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), Some(given.to_vec())).await;
    let report = until(&judge, |report| pairs(report) >= 2).await;
    assert_eq!(report.trouble, None);
    assert!(asked.lock().unwrap().iter().all(|question| question.body["input"] == "Good day."));

    let silent = Some(given[1..].to_vec());
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), silent).await;
    let report = until(&judge, |report| pairs(report) >= 2).await;
    let trouble = report.trouble.unwrap();
    assert!(
        trouble.contains("promptsFrom") && trouble.contains("spec.rollout.judge.recogniser"),
        "{trouble}"
    );
    let measured = |quantity| report.measures.iter().any(|measure| measure.quantity == quantity);
    assert!(measured(Quantity::Mos) && measured(Quantity::Prosody));
}

#[tokio::test]
async fn callers_keep_prompts_from_filling_up_only_once_words_are_heard_in_their_texts() {
    let asked = Asked::default();
    let patient = |session: &mut Session| session.prompt_after_seconds = 3600;
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), patient).await;
    post_request(&judge, json!({"text": "Good morning."}).to_string()).await;
    let (go_on, told) = channel();
    listen_and_drive(&judge, Told(told));
    // It is being listened to, nothing else waits, and prompts are spoken until there is no more room.
    until(&judge, |report| report.waiting == 2).await;
    assert!(judge.quiet().is_none() && asked.lock().unwrap().len() >= 6);
    (0..6).for_each(|_| go_on.send(()).unwrap());
    let report = until(&judge, |report| report.samples == 3 && report.waiting == 0).await;
    assert_eq!((report.from_prompts, judge.quiet().is_some()), (2, true));
}
