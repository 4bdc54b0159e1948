//! The judge's port, with a recogniser that hears what the test says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::json;
use tower::ServiceExt;
use ttsfleet_ears::{Clip, MAX_SECONDS, Mos};
use ttsfleet_judge::{
    http::routes,
    judge::{Judge, Part, start_listening},
    listen::Ears,
    normalise::Script,
    recogniser::{Recogniser, RecogniserError},
};
use ttsfleet_wire::judge::{
    Audio, MOST_PAIR_BYTES, Pair, Quantity, Recogniser as Kind, Report, Session, Side,
};

const TEXT: &str = "Good morning to all of you.";
const RATE: u32 = 16_000;

/// Hears the text in loud clips, less of it in quiet ones, and breaks where a
/// clip is quieter still.
struct Heard;

impl Recogniser for Heard {
    fn hears(&self, script: Script) -> bool {
        script == Script::Latin
    }

    fn transcribe(&mut self, clip: &Clip) -> Result<String, RecogniserError> {
        match clip.samples.iter().fold(0.0_f32, |most, sample| most.max(*sample)) {
            0.5.. => Ok("good morning to all of you".to_owned()),
            0.05.. => Ok("good morning".to_owned()),
            _ => Err(RecogniserError::TooSlow(30)),
        }
    }
}

fn session() -> Session {
    Session {
        id: "s1".to_owned(),
        baseline_url: "http://127.0.0.1:1".to_owned(),
        candidate_url: "http://127.0.0.1:1".to_owned(),
        baseline_digest: Some("sha256:a".to_owned()),
        candidate_digest: Some("sha256:b".to_owned()),
        min_samples: 20,
        confidence_percent: 95,
        prompts: None,
        prompt_after_seconds: 3600,
        recogniser: Kind::Embedded,
    }
}

/// Two seconds of a tone that swells.
fn side(digest: &str, loudness: f32) -> Side {
    let sample = |index: u32| {
        let time = index as f32 / RATE as f32;
        ((time * 880.0).sin() * loudness * (time / 2.0) * 32_000.0) as i16
    };
    let audio: Vec<u8> = (0..2 * RATE).flat_map(|index| sample(index).to_le_bytes()).collect();
    of_audio(digest, "audio/pcm", audio)
}

fn of_audio(digest: &str, content_type: &str, audio: Vec<u8>) -> Side {
    Side::Audio {
        digest: digest.to_owned(),
        content_type: content_type.to_owned(),
        sample_rate: RATE,
        audio: Audio(audio),
        first_audio_ms: 50.0,
        total_ms: 100.0,
    }
}

fn pair(text: &str, baseline: Side, candidate: Side) -> String {
    serde_json::to_string(&Pair { text: text.to_owned(), baseline, candidate }).unwrap()
}

fn good() -> String {
    pair(TEXT, side("sha256:a", 0.9), side("sha256:b", 0.9))
}

async fn post(judge: &Arc<Judge>, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post("/v1/pairs").header("content-type", "application/json");
    let response = routes(Arc::clone(judge)).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn report(judge: &Arc<Judge>) -> Report {
    let request = Request::get("/v1/report").body(Body::empty()).unwrap();
    let response = routes(Arc::clone(judge)).oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 16).await.unwrap()).unwrap()
}

fn listen(judge: &Arc<Judge>) {
    let ears = || Ok(Ears { recogniser: Box::new(Heard), mos: Mos::load().unwrap() });
    start_listening(judge, ears).unwrap();
}

async fn judged(judge: &Arc<Judge>, samples: u64) -> Report {
    let wait = async {
        loop {
            let report = report(judge).await;
            if report.samples == samples {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the pairs are judged")
}

#[tokio::test]
async fn a_pair_is_heard_and_reported() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    assert_eq!(post(&judge, good()).await.0, StatusCode::ACCEPTED);
    let muffled = pair(TEXT, side("sha256:a", 0.9), side("sha256:b", 0.3));
    assert_eq!(post(&judge, muffled).await.0, StatusCode::ACCEPTED);
    let report = judged(&judge, 2).await;
    assert_eq!((&report.session[..], report.from_prompts, report.dropped), ("s1", 0, 0));
    assert_eq!(report.trouble, None);
    let cer = report.measures.iter().find(|measure| measure.quantity == Quantity::Cer).unwrap();
    // Of the 26 letters and spaces of the text, 14 are not heard in one of two.
    assert!((cer.difference - 14.0 / 26.0 / 2.0).abs() < 1e-9, "{cer:?}");
    assert_eq!((cer.samples, cer.baseline, cer.low, cer.high), (2, 0.0, -1.0, 1.0));
    let quantities: Vec<Quantity> = report.measures.iter().map(|measure| measure.quantity).collect();
    assert_eq!(quantities, [Quantity::Cer, Quantity::Mos, Quantity::Prosody, Quantity::Errors]);
}

#[tokio::test]
async fn a_side_that_failed_or_cannot_be_played_counts_as_a_failure_alone() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    let failed = Side::Failed { code: "InferenceFailed".to_owned() };
    let broken = of_audio("sha256:b", "audio/flac", b"no flac".to_vec());
    for candidate in [failed.clone(), broken] {
        post(&judge, pair(TEXT, side("sha256:a", 0.9), candidate)).await;
    }
    post(&judge, pair(TEXT, failed, side("sha256:b", 0.9))).await;
    let report = judged(&judge, 3).await;
    let [errors] = &report.measures[..] else { panic!("{report:?}") };
    assert_eq!((errors.quantity, errors.samples), (Quantity::Errors, 3));
    assert!((errors.baseline - 1.0 / 3.0).abs() < 1e-9 && (errors.candidate - 2.0 / 3.0).abs() < 1e-9);
}

#[tokio::test]
async fn a_recogniser_that_fails_is_told_until_it_hears_again() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    post(&judge, pair(TEXT, side("sha256:a", 0.01), side("sha256:b", 0.9))).await;
    let report = judged(&judge, 1).await;
    assert!(report.trouble.unwrap().contains("30 s"));
    assert!(report.measures.iter().all(|measure| measure.quantity != Quantity::Cer));
    post(&judge, good()).await;
    assert_eq!(judged(&judge, 2).await.trouble, None);
}

#[tokio::test]
async fn a_text_too_long_to_be_heard_is_counted_and_not_judged() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    let too_long = of_audio("sha256:a", "audio/pcm", vec![0; 2 * (RATE * MAX_SECONDS + 1) as usize]);
    assert_eq!(post(&judge, pair(TEXT, too_long, side("sha256:b", 0.9))).await.0, StatusCode::ACCEPTED);
    post(&judge, good()).await;
    let report = judged(&judge, 1).await;
    let errors = report.measures.iter().find(|measure| measure.quantity == Quantity::Errors).unwrap();
    assert_eq!((errors.samples, errors.difference), (1, 0.0));
    let metrics = judge.metrics.encode().unwrap();
    assert!(metrics.contains(r#"pairs_total{source="caller",fate="unheard"} 1"#), "{metrics}");
}

#[tokio::test]
async fn only_callers_pairs_whose_words_are_heard_keep_prompts_away() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    post(&judge, pair("今天天气很好。", side("sha256:a", 0.9), side("sha256:b", 0.3))).await;
    judged(&judge, 1).await;
    assert_eq!(judge.quiet(), None);
    post(&judge, good()).await;
    judged(&judge, 2).await;
    assert!(judge.quiet().is_some());
}

#[tokio::test]
async fn a_side_that_callers_hear_is_no_trouble_any_more() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    judge.trouble(Part::Baseline, Some("no old one".to_owned()));
    judge.trouble(Part::Candidate, Some("no new one".to_owned()));
    let failed = Side::Failed { code: "InferenceFailed".to_owned() };
    post(&judge, pair(TEXT, side("sha256:a", 0.9), failed)).await;
    assert_eq!(judged(&judge, 1).await.trouble.as_deref(), Some("no new one"));
    post(&judge, good()).await;
    assert_eq!(judged(&judge, 2).await.trouble, None);
}

#[tokio::test]
async fn a_language_that_the_recogniser_does_not_hear_has_no_error_rate() {
    let judge = Arc::new(Judge::new(session()));
    listen(&judge);
    post(&judge, pair("今天天气很好。", side("sha256:a", 0.9), side("sha256:b", 0.3))).await;
    let report = judged(&judge, 1).await;
    assert_eq!(report.trouble, None);
    assert!(report.measures.iter().all(|measure| measure.quantity != Quantity::Cer));
}

#[tokio::test]
async fn what_is_not_under_test_or_no_pair_is_refused_without_a_word_of_it() {
    let judge = Arc::new(Judge::new(session()));
    let secret = "a secret of mine";
    let short = of_audio("sha256:a", "audio/pcm", b"short".to_vec());
    let unplain = pair(secret, short, side("sha256:b", 0.1)).replacen("c2hvcnQ=", "%%", 1);
    for (body, status, code) in [
        (pair(secret, side("sha256:x", 0.1), side("sha256:b", 0.1)), 409, "WrongModel"),
        (pair(secret, side("sha256:a", 0.1), side("sha256:a", 0.1)), 409, "WrongModel"),
        (unplain, 400, "InvalidJson"),
        (json!({"text": secret}).to_string(), 400, "InvalidJson"),
        (json!(secret).to_string(), 400, "InvalidJson"),
    ] {
        let (found, body) = post(&judge, body).await;
        assert_eq!(found, status, "{body}");
        assert!(body.contains(code) && !body.contains(secret), "{body}");
    }
    let (status, _) = post(&judge, vec![b' '; MOST_PAIR_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(report(&judge).await.waiting, 0);
}

#[tokio::test]
async fn when_too_many_wait_the_next_is_turned_away_and_counted() {
    let judge = Arc::new(Judge::new(session()));
    let body = good();
    let mut taken = 0;
    let status = loop {
        match post(&judge, body.clone()).await.0 {
            StatusCode::ACCEPTED => taken += 1,
            status => break status,
        }
    };
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let report = report(&judge).await;
    assert_eq!((report.waiting, report.dropped, report.samples), (taken, 1, 0));
    assert!((200..=256).contains(&taken), "{taken}");
}

#[tokio::test]
async fn what_cannot_listen_is_told() {
    let judge = Arc::new(Judge::new(session()));
    start_listening(&judge, || Err("no weights".to_owned())).unwrap().join().unwrap();
    assert_eq!(report(&judge).await.trouble.unwrap(), "no weights");
}
