//! Load, trouble and the end: what the server does when things go wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use common::{
    IN_FLIGHT, JSON, RATE, Seen, WAITING, begin, get, limits, metric, models, occupy, read_answer, say,
    start, start_loading, until, write_tones,
};
use futures::future::join_all;
use rstest::rstest;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use ttsfleet_inference::config::Limits;
use ttsfleet_serving::{BodyLimits, Connections};

fn connections(change: impl FnOnce(&mut Connections)) -> Limits {
    let mut limits = limits();
    change(&mut limits.connections);
    limits
}

#[rstest]
#[case::bare("pcm", "audio")]
#[case::kept_back_until_complete("wav", "audio")]
#[case::encoded("mp3", "audio")]
#[case::encoded("opus", "audio")]
#[case::encoded("flac", "audio")]
#[case::events("pcm", "sse")]
#[tokio::test]
async fn a_client_that_leaves_stops_its_synthesis(#[case] format: &str, #[case] stream: &str) {
    let server = start(Limits { whole_wav_bytes: 1 << 30, ..limits() }).await;
    let order = json!({"input": "spin", "response_format": format, "stream_format": stream});
    let client = begin(server.speech, order).await;
    until("it is spoken", async || server.seen.started.load(SeqCst) == 1).await;
    drop(client);
    until("it stops", async || server.seen.broken_off.load(SeqCst) == 1).await;
    until("its place is free", async || metric(server.health, IN_FLIGHT).await == 0.0).await;
    assert_eq!(metric(server.health, r#"ttsfleet_requests_total{code="ClientClosed"}"#).await, 1.0);
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_never_served() {
    let server = start(limits()).await;
    let busy = [occupy(&server).await, occupy(&server).await];
    let waiting = begin(server.speech, json!({"input": "never"})).await;
    until("it waits", async || metric(server.health, WAITING).await == 1.0).await;
    drop(waiting);
    until("it has left", async || metric(server.health, WAITING).await == 0.0).await;
    drop(busy);
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
    assert_eq!(server.seen.started.load(SeqCst), 3);
}

#[tokio::test]
async fn a_panic_in_the_model_is_answered_and_survived() {
    let server = start(limits()).await;
    for input in ["panic", "trap", "panic"] {
        let answer = say(server.speech, json!({"input": input})).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (500, "InferenceFailed"), "{input}");
    }
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
}

#[tokio::test]
async fn a_failure_before_the_first_audio_has_its_own_status() {
    let server = start(limits()).await;
    for input in ["fail", "mute"] {
        let answer = say(server.speech, json!({"input": input, "response_format": "pcm"})).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (500, "InferenceFailed"), "{input}");
    }
}

#[tokio::test]
async fn a_failure_after_the_first_audio_is_no_silent_end() {
    let server = start(limits()).await;
    let input = "word fail";
    let audio = say(server.speech, json!({"input": input, "response_format": "pcm"})).await;
    assert!(audio.status == 200 && !audio.whole);
    let events =
        say(server.speech, json!({"input": input, "stream_format": "sse", "response_format": "pcm"})).await;
    let events = common::events(&events);
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["error"]["error_code"]), (&json!("error"), &json!("InferenceFailed")));
    // A WAV that is kept back until it is complete can still say so.
    let wav = say(server.speech, json!({"input": input, "response_format": "wav"})).await;
    assert_eq!(wav.status, 500);
    assert_eq!(metric(server.health, r#"ttsfleet_requests_total{code="InferenceFailed"}"#).await, 3.0);
}

#[tokio::test]
async fn a_wav_that_takes_long_is_not_waited_for() {
    let server = start(Limits { whole_wav_wait: Duration::ZERO, ..limits() }).await;
    let mut socket = begin(server.speech, json!({"input": "spin", "response_format": "wav"})).await;
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"RIFF") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }
    assert_eq!(server.seen.broken_off.load(SeqCst), 0, "it is still spoken");
}

#[tokio::test]
async fn a_wav_that_is_long_for_certain_begins_with_its_first_audio() {
    let server = start(limits()).await;
    let text = format!("word burn {}", "word ".repeat(800));
    let mut socket = begin(server.speech, json!({"input": text, "response_format": "wav"})).await;
    let mut seen = Vec::new();
    while !seen.windows(4).any(|four| four == b"RIFF") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
    }
    server.seen.released.store(true, SeqCst);
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let server = start(Limits { buffered_bytes: 64 << 10, ..limits() }).await;
    let text = "word ".repeat(20);
    let mut socket = begin(server.speech, json!({"input": text, "response_format": "pcm"})).await;
    let mut bytes = vec![0; 16 << 10];
    let mut length = 0;
    loop {
        let read = socket.read(&mut bytes).await.unwrap();
        if read == 0 {
            break;
        }
        length += read;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(length > 20 * 48_000, "{length}");
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_cut_off() {
    let quick = connections(|it| it.write_timeout = Duration::from_millis(300));
    let quick = Limits { buffered_bytes: 64 << 10, ..quick };
    let server = start(quick).await;
    let _stalled = occupy(&server).await;
    until("its thread is free", async || server.seen.broken_off.load(SeqCst) == 1).await;
    until("its place is free", async || metric(server.health, IN_FLIGHT).await == 0.0).await;
}

#[tokio::test]
async fn a_request_cannot_hold_a_thread_for_ever() {
    let quick = Limits { longest_request: Duration::from_secs(4), buffered_bytes: 64 << 10, ..limits() };
    let server = start(quick).await;
    let mut stalled = occupy(&server).await;
    until("its thread is free", async || server.seen.broken_off.load(SeqCst) == 1).await;
    assert!(!read_answer(&mut stalled).await.whole);
    until("it is counted", async || {
        metric(server.health, r#"ttsfleet_requests_total{code="ClientTooSlow"}"#).await == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_spoken_for_too_long_is_ended() {
    let server = start(Limits { longest_request: Duration::from_millis(300), ..limits() }).await;
    let answer = say(server.speech, json!({"input": "spin", "response_format": "mp3"})).await;
    assert!(answer.status == 200 && !answer.whole);
    until("its thread is free", async || server.seen.broken_off.load(SeqCst) == 1).await;
    until("it is counted", async || metric(server.health, IN_FLIGHT).await == 0.0).await;
    let late = metric(server.health, r#"ttsfleet_requests_total{code="InferenceFailed"}"#).await;
    let slow = metric(server.health, r#"ttsfleet_requests_total{code="ClientTooSlow"}"#).await;
    assert_eq!(late + slow, 1.0, "which of them depends on how quick the machine reads");
}

#[tokio::test]
async fn a_thread_that_does_not_come_back_ends_the_readiness() {
    const STUCK: &str = "ttsfleet_stuck_workers";
    let server = start(Limits { longest_piece: Duration::from_millis(500), ..limits() }).await;
    assert_eq!(metric(server.health, STUCK).await, 0.0);
    let mut burning = begin(server.speech, json!({"input": "burn", "response_format": "pcm"})).await;
    until("it is not ready", async || get(server.health, "/readyz").await.status == 503).await;
    let words = String::from_utf8(get(server.health, "/readyz").await.body).unwrap();
    assert!(words.starts_with("a synthesis thread has been busy for "), "{words}");
    assert_eq!(metric(server.health, STUCK).await, 1.0);
    server.seen.released.store(true, SeqCst);
    assert!(read_answer(&mut burning).await.whole);
    assert_eq!(get(server.health, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = start(Limits {
        body: BodyLimits { timeout: Duration::from_millis(200), ..limits().body },
        ..limits()
    })
    .await;
    let mut socket = TcpStream::connect(server.speech).await.unwrap();
    let head = format!("POST /v1/audio/speech HTTP/1.1\r\nhost: h\r\n{JSON}content-length: 100\r\n\r\n{{");
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(&mut socket).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (408, "RequestTimeout"));
}

#[tokio::test]
async fn headers_that_do_not_come_are_not_waited_for() {
    let server = start(connections(|it| it.header_timeout = Duration::from_millis(200))).await;
    let mut socket = TcpStream::connect(server.speech).await.unwrap();
    socket.write_all(b"POST /v1/audio/speech HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_cut_short_is_answered() {
    let server = start(limits()).await;
    let mut socket = TcpStream::connect(server.speech).await.unwrap();
    let head =
        format!("POST /v1/audio/speech HTTP/1.1\r\nhost: h\r\n{JSON}content-length: 100\r\n\r\n{{\"input\":");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest)).await.unwrap().unwrap();
    until("it is counted", async || {
        metric(server.health, r#"ttsfleet_requests_total{code="InvalidJson"}"#).await
            + metric(server.health, r#"ttsfleet_requests_total{code="ClientClosed"}"#).await
            == 1.0
    })
    .await;
}

#[tokio::test]
async fn while_the_model_loads_requests_are_told_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let tone = json!({"pitch": 220.0, "seconds": 1.0, "fault": "hang-at-load"});
    let first = write_tones(&folder.path().join("1"), "1", RATE, tone);
    let seen = Arc::<Seen>::default();
    let server = start_loading(limits(), models(&folder, &seen), first, Arc::clone(&seen), folder).await;
    assert_eq!(get(server.health, "/healthz").await.status, 200);
    let ready = get(server.health, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_slice()), (503, b"loading the model\n".as_slice()));
    let answer = say(server.speech, json!({"input": "hi"})).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "ModelNotReady"));
    assert!(answer.header("retry-after").is_some());
    seen.released.store(true, SeqCst);
    until("it is ready", async || get(server.health, "/readyz").await.status == 200).await;
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
}

#[tokio::test]
async fn a_first_model_that_cannot_be_loaded_ends_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let tone = json!({"pitch": 220.0, "seconds": 1.0, "fault": "refused-at-load"});
    let first = write_tones(&folder.path().join("1"), "1", RATE, tone);
    let seen = Arc::default();
    let server = start_loading(limits(), models(&folder, &seen), first, seen, folder).await;
    let reason = server.ended.await.unwrap().unwrap_err().to_string();
    assert_eq!(reason, "unusable weights: refused on purpose");
}

#[tokio::test]
async fn draining_finishes_what_is_admitted_and_refuses_the_rest() {
    let mut server = start(Limits { buffered_bytes: 64 << 10, ..limits() }).await;
    let text = "word ".repeat(40);
    let mut slow = begin(server.speech, json!({"input": text, "response_format": "pcm"})).await;
    until("it is spoken", async || server.seen.started.load(SeqCst) == 1).await;
    server.stop.take().unwrap().send(()).unwrap();
    until("it is not ready", async || get(server.health, "/readyz").await.status == 503).await;
    assert_eq!(get(server.health, "/healthz").await.status, 200);
    let refused = say(server.speech, json!({"input": "hi"})).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "Draining"));
    let answer = read_answer(&mut slow).await;
    assert!(answer.whole && answer.body.len() == 40 * 48_000, "{} bytes", answer.body.len());
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn draining_loses_nothing_that_was_admitted() {
    let mut server =
        start(Limits { buffered_bytes: 64 << 10, drain: Duration::from_secs(60), ..limits() }).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let text = "word ".repeat(20);
        clients.push(begin(server.speech, json!({"input": text, "response_format": "pcm"})).await);
    }
    until("two wait for the other two", async || metric(server.health, WAITING).await == 2.0).await;
    server.stop.take().unwrap().send(()).unwrap();
    until("it is not ready", async || get(server.health, "/readyz").await.status == 503).await;
    for answer in join_all(clients.iter_mut().map(read_answer)).await {
        assert!(answer.whole && answer.body.len() == 20 * 48_000, "{} bytes", answer.body.len());
    }
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn draining_ends_when_its_time_is_up() {
    let mut server = start(Limits { drain: Duration::from_millis(200), ..limits() }).await;
    let _endless = occupy(&server).await;
    server.stop.take().unwrap().send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), server.ended).await;
    ended.unwrap().unwrap().unwrap();
}
