//! What is asked for of format and rate is sent, and told in headers. What the
//! formats hold is tested beside their encoders.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use common::{RATE, Running, get, limits, models, say, start, start_loading, until, write_tones};
use rstest::rstest;
use serde_json::{Value, json};

/// A server whose voice has another rate than most.
async fn start_at(rate: u32) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let first = write_tones(&folder.path().join("1"), "1", rate, json!({"pitch": 220.0, "seconds": 1.0}));
    let seen = Arc::default();
    let models = models(&folder, &seen);
    let server = start_loading(limits(), models, first, seen, folder).await;
    until("the server is ready", async || get(server.health, "/readyz").await.status == 200).await;
    server
}

#[rstest]
#[case::mp3("mp3", "audio/mpeg", RATE)]
#[case::opus("opus", "audio/ogg; codecs=opus", RATE)]
#[case::aac("aac", "audio/aac", RATE)]
#[case::flac("flac", "audio/flac", RATE)]
#[case::wav("wav", "audio/wav", RATE)]
#[case::pcm("pcm", "audio/pcm", RATE)]
#[case::mulaw("mulaw", "audio/PCMU;rate=8000", 8_000)]
#[case::alaw("alaw", "audio/PCMA;rate=8000", 8_000)]
#[tokio::test]
async fn every_format_has_its_type_and_tells_its_rate(
    #[case] format: &str,
    #[case] content_type: &str,
    #[case] rate: u32,
) {
    let server = start(limits()).await;
    let answer = say(server.speech, json!({"input": "one two", "response_format": format})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
    assert_eq!(answer.header("x-tts-sample-rate"), Some(rate.to_string().as_str()));
    assert!(answer.whole && answer.body.len() > 2_000, "{} bytes", answer.body.len());
}

#[rstest]
#[case::pcm("pcm", 2)]
#[case::mulaw("mulaw", 1)]
#[case::alaw("alaw", 1)]
#[tokio::test]
async fn bare_samples_have_the_rate_asked_for(
    #[case] format: &str,
    #[case] bytes: usize,
    #[values(22_050, 44_100)] own: u32,
) {
    let server = start_at(own).await;
    let order = json!({"input": "one two", "response_format": format, "sample_rate": 16_000});
    let answer = say(server.speech, order).await;
    assert_eq!(answer.header("x-tts-sample-rate"), Some("16000"));
    assert_eq!(answer.body.len(), 2 * 16_000 * bytes, "two seconds");
}

#[rstest]
#[case::held("mp3", "22050")]
#[case::not_held("opus", "24000")]
#[tokio::test]
async fn a_format_that_does_not_hold_the_voices_rate_is_sent_at_the_next_above(
    #[case] format: &str,
    #[case] rate: &str,
) {
    let server = start_at(22_050).await;
    let answer = say(server.speech, json!({"input": "one", "response_format": format})).await;
    assert_eq!((answer.status, answer.header("x-tts-sample-rate")), (200, Some(rate)));
}

#[rstest]
#[case::file("pcm", "audio")]
#[case::whole("wav", "audio")]
#[case::events("mp3", "sse")]
#[tokio::test]
async fn headers_say_that_it_is_synthetic_by_whom_and_by_which_model(
    #[case] format: &str,
    #[case] stream: &str,
) {
    let server = start(limits()).await;
    let order = json!({"input": "one", "response_format": format, "stream_format": stream});
    let answer = say(server.speech, order).await;
    let said: Value = serde_json::from_str(answer.header("x-tts-synthetic").unwrap()).unwrap();
    assert_eq!((&said["synthetic"], &said["producer"]), (&json!(true), &json!("the tests")));
    assert_eq!(said["model"], "tones@1");
    assert_eq!(said["digest"], answer.header("x-tts-digest").unwrap());
    assert_eq!(said["id"], answer.header("x-request-id").unwrap());
    let time = said["time"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn mp3_is_the_default() {
    let server = start(limits()).await;
    let answer = say(server.speech, json!({"input": "one"})).await;
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
}
