//! How callers' texts are put to both sides: alike.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use rstest::rstest;
use serde_json::json;
use support::{Asked, Deaf, Question, Server, judge_of, listen_and_drive, pairs, post_request, until};
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{MOST_REQUEST_BYTES, MOST_TEXT_CHARS, Quantity, Session},
};

/// Prompts come only when it is their turn.
fn callers_only(session: &mut Session) {
    session.prompt_after_seconds = 3600;
    session.prompts = Some(vec!["A prompt.".to_owned()]);
}

fn caller(number: usize) -> String {
    json!({"text": format!("Caller {number}."), "voice": "heart", "speed": 1.25}).to_string()
}

fn text(question: &Question) -> &str {
    question.body["input"].as_str().unwrap()
}

#[tokio::test]
async fn both_sides_are_asked_the_same_once_each_over_a_connection_of_their_own_and_take_turns() {
    let asked = Asked::default();
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), callers_only).await;
    for number in 0..16 {
        assert_eq!(post_request(&judge, caller(number)).await.0, StatusCode::ACCEPTED);
    }
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| pairs(report) >= 20).await;
    assert_eq!((report.trouble, report.dropped), (None, 0));
    let asked: Vec<Question> = asked.lock().unwrap()[..40].to_vec();
    let mut baseline_first = Vec::new();
    for pair in asked.chunks(2) {
        let [one, other] = pair else { unreachable!() };
        assert_ne!(one.who, other.who);
        let headers = |question: &Question| {
            let mut headers = question.headers.clone();
            headers.remove("host");
            headers
        };
        assert_eq!((&one.body, headers(one)), (&other.body, headers(other)));
        baseline_first.push(one.who == "old");
    }
    assert!(baseline_first.chunks(2).all(|two| two[0] != two[1]), "{baseline_first:?}");
    let connections: BTreeSet<_> = asked.iter().map(|question| question.from).collect();
    assert_eq!(connections.len(), asked.len());
    let callers = asked.iter().filter(|question| text(question).starts_with("Caller"));
    let bodies: BTreeSet<String> = callers.clone().map(|question| question.body.to_string()).collect();
    assert_eq!((callers.count(), bodies.len()), (32, 16), "each text once to either side");
    let body = json!({"input": "Caller 0.", "voice": "heart", "speed": 1.25, "response_format": "pcm"});
    assert!(bodies.contains(&body.to_string()), "{bodies:?}");
}

#[tokio::test]
async fn every_fifth_text_is_a_prompt_however_many_callers_send() {
    let asked = Asked::default();
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), callers_only).await;
    for number in 0..40 {
        post_request(&judge, caller(number)).await;
    }
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| pairs(report) >= 20).await;
    // The one prompt there is counts once.
    assert!(report.from_prompts == 1 && report.repeated >= 3, "{report:?}");
    let asked = asked.lock().unwrap();
    let prompts: Vec<bool> = asked[..40].chunks(2).map(|pair| text(&pair[0]) == "A prompt.").collect();
    assert!(prompts.chunks(5).all(|five| *five == [false, false, false, false, true]), "{prompts:?}");
}

#[tokio::test]
async fn callers_are_heard_also_where_there_are_no_prompts_in_the_language() {
    let asked = Asked::default();
    let french = Server { language: "fr", ..Server::new("old", &asked) };
    let without = |session: &mut Session| session.prompt_after_seconds = 3600;
    let judge = judge_of(french, Server::new("new", &asked), without).await;
    for number in 0..8 {
        post_request(&judge, caller(number)).await;
    }
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| report.samples == 8).await;
    assert!(report.trouble.unwrap().contains("promptsFrom"));
}

#[rstest]
#[case::the_stable_model("old", "the stable model's pods")]
#[case::the_candidate("new", "the candidate's pods")]
#[tokio::test]
async fn a_side_without_room_or_pods_says_nothing_of_its_model(
    #[case] which: &'static str,
    #[case] words: &str,
    #[values(Some(ErrorCode::TooManyRequests), Some(ErrorCode::ModelNotReady), None)] why: Option<ErrorCode>,
) {
    let asked = Asked::default();
    let server = |name| {
        let failure = why.filter(|_| name == which);
        Server { failure, ..Server::new(name, &asked) }
    };
    let away = |session: &mut Session| {
        callers_only(session);
        if why.is_none() {
            let nobody = "http://127.0.0.1:1".to_owned();
            *if which == "old" { &mut session.baseline_url } else { &mut session.candidate_url } = nobody;
        }
    };
    let judge = judge_of(server("old"), server("new"), away).await;
    post_request(&judge, caller(0)).await;
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| report.trouble.is_some()).await;
    assert!(report.trouble.as_ref().unwrap().contains(words), "{report:?}");
    assert_eq!(report.samples, 0);
    let metrics = judge.metrics.encode().unwrap();
    assert!(metrics.contains(r#"pairs_total{source="caller",fate="away"} 1"#), "{metrics}");
}

/// The same happens to both, and it counts alike.
#[rstest]
#[case::it_says_that_it_failed("old", |server: Server| Server { failure: Some(ErrorCode::InferenceFailed), ..server })]
#[case::it_says_that_it_failed("new", |server: Server| Server { failure: Some(ErrorCode::InferenceFailed), ..server })]
#[case::it_died("old", |server: Server| Server { breaks: true, ..server })]
#[case::it_died("new", |server: Server| Server { breaks: true, ..server })]
#[case::it_went_on_too_long("old", |server: Server| Server { seconds: 121, ..server })]
#[case::it_went_on_too_long("new", |server: Server| Server { seconds: 121, ..server })]
#[case::it_never_ended("old", |server: Server| Server { seconds: 900, ..server })]
#[case::it_never_ended("new", |server: Server| Server { seconds: 900, ..server })]
#[tokio::test]
async fn a_side_that_failed_on_a_text_has_failed_whichever_it_is(
    #[case] which: &str,
    #[case] fails: fn(Server) -> Server,
) {
    let asked = Asked::default();
    let server = |name: &'static str| {
        let server = Server::new(name, &asked);
        if name == which { fails(server) } else { server }
    };
    let judge = judge_of(server("old"), server("new"), callers_only).await;
    post_request(&judge, caller(0)).await;
    listen_and_drive(&judge, Deaf);
    let report = until(&judge, |report| pairs(report) >= 1).await;
    let [errors] = &report.measures[..] else { panic!("{report:?}") };
    let expected = if which == "old" { (1.0, 0.0) } else { (0.0, 1.0) };
    assert_eq!(
        (errors.quantity, errors.baseline, errors.candidate),
        (Quantity::Errors, expected.0, expected.1)
    );
}

#[rstest]
#[case::neither_finds_words(false, false, 1)]
#[case::one_does_not(true, false, 2)]
#[tokio::test]
async fn silences_are_compared_only_where_one_side_found_words(
    #[case] old_finds: bool,
    #[case] new_finds: bool,
    #[case] judged: u64,
) {
    let asked = Asked::default();
    let server = |name, finds_words| Server { finds_words, ..Server::new(name, &asked) };
    let judge = judge_of(server("old", old_finds), server("new", new_finds), |session| {
        callers_only(session);
        session.prompt_after_seconds = 0;
    })
    .await;
    post_request(&judge, caller(0)).await;
    listen_and_drive(&judge, Deaf);
    // The prompt is judged in any case, and comes last.
    until(&judge, |report| report.from_prompts == 1 && report.waiting == 0).await;
    let report = until(&judge, |report| report.samples >= judged).await;
    assert_eq!(report.samples, judged);
    let wordless = judge.metrics.encode().unwrap().contains(r#"fate="wordless"} 1"#);
    assert_eq!(wordless, judged == 1);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_without_a_word_of_it() {
    let asked = Asked::default();
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), callers_only).await;
    let secret = "a secret of mine";
    for (body, code) in [
        (json!({"text": " "}), "InvalidParameter"),
        (json!({"text": secret.repeat(MOST_TEXT_CHARS)}), "InvalidParameter"),
        (json!({"text": secret, "model": "hibari@2"}), "InvalidParameter"),
        (json!({"text": secret, "speed": 1e300}), "InvalidParameter"),
        (json!({"text": secret, "lexicon": {secret: "/SECRET/"}}), "InvalidParameter"),
        (json!({"text": secret, "digest": secret}), "InvalidJson"),
        (json!({"text": [secret]}), "InvalidJson"),
        (json!(secret), "InvalidJson"),
    ] {
        let (status, body) = post_request(&judge, body.to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body.contains(code) && !body.contains(secret), "{body}");
    }
    let (status, _) = post_request(&judge, vec![b' '; MOST_REQUEST_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(judge.report().waiting, 0);
}

#[tokio::test]
async fn when_too_many_wait_the_next_is_turned_away_and_counted() {
    let asked = Asked::default();
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), callers_only).await;
    let mut taken = 0;
    let status = loop {
        match post_request(&judge, caller(taken)).await.0 {
            StatusCode::ACCEPTED => taken += 1,
            status => break status,
        }
    };
    assert_eq!((status, taken), (StatusCode::TOO_MANY_REQUESTS, 64));
    let report = judge.report();
    assert_eq!((report.waiting, report.dropped, report.samples), (64, 1, 0));
}
