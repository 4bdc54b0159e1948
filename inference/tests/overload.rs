//! More work than the server can do: it says so at once, and stays reachable.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use common::{
    BREAKER, IN_FLIGHT, JSON, begin, exchange, get, limits, metric, occupy, post, read_answer, say, start,
    until,
};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use ttsfleet_inference::config::Limits;

/// Far more than an answer takes that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A request without its body.
fn head() -> String {
    format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{JSON}content-length: 16\r\n\r\n"
    )
}

#[tokio::test]
async fn of_thirty_places_the_thirty_first_is_refused_at_once() {
    let limits = Limits { workers: 8, max_concurrency: 30, max_queue_depth: 22, ..limits() };
    let server = start(limits).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(occupy(&server).await);
    }
    for _ in 8..30 {
        clients.push(begin(server.speech, json!({"input": "waits"})).await);
    }
    until("thirty are admitted", async || metric(server.health, IN_FLIGHT).await == 30.0).await;
    let start = Instant::now();
    let answer = say(server.speech, json!({"input": "hi"})).await;
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!((answer.status, answer.error_code().as_str()), (429, "TooManyRequests"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["error"]["retryable"], true);
}

#[tokio::test]
async fn a_full_server_does_not_wait_for_the_body() {
    let server = start(Limits { workers: 1, max_concurrency: 1, ..limits() }).await;
    let _busy = occupy(&server).await;
    let answer = exchange(server.speech, head().as_bytes()).await;
    assert_eq!(answer.error_code(), "TooManyRequests");
}

#[tokio::test]
async fn clients_that_send_slowly_take_no_place() {
    let server = start(Limits { max_concurrency: 1, ..limits() }).await;
    let mut slow = TcpStream::connect(server.speech).await.unwrap();
    slow.write_all(head().as_bytes()).await.unwrap();
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
    until("it has left", async || metric(server.health, IN_FLIGHT).await == 0.0).await;
    slow.write_all(br#"{"input": "one"}"#).await.unwrap();
    assert_eq!(read_answer(&mut slow).await.status, 200);
}

#[tokio::test]
async fn a_queue_too_deep_refuses_new_requests_until_half_have_gone() {
    // It would be open for this long if it did not close by itself.
    let busy = Duration::from_secs(3600);
    let server =
        start(Limits { workers: 1, max_concurrency: 30, max_queue_depth: 2, busy, ..limits() }).await;
    let running = occupy(&server).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        assert_eq!(metric(server.health, BREAKER).await, 0.0);
        let before = metric(server.health, common::WAITING).await;
        waiting.push(begin(server.speech, json!({"input": "waits"})).await);
        until("it waits", async || metric(server.health, common::WAITING).await > before).await;
    }
    assert_eq!(metric(server.health, BREAKER).await, 1.0);

    let start = Instant::now();
    let refused = exchange(server.speech, head().as_bytes()).await;
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "SystemBusy"));
    assert_eq!(refused.json()["error"]["message"], "system busy, please retry");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "not as long as it may be open: {seconds} s");
    assert_eq!(refused.header("x-tts-over-share"), None, "it is so for everybody");
    assert_eq!(get(server.health, "/readyz").await.status, 200);
    assert_eq!(server.seen.started.load(SeqCst), 1);

    drop(running);
    for client in &mut waiting {
        assert_eq!(read_answer(client).await.status, 200);
    }
    until("it has closed", async || metric(server.health, BREAKER).await == 0.0).await;
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
}

/// A request of a caller, whom the gateway names.
fn of(caller: &str, input: &str) -> Vec<u8> {
    let headers = format!("{JSON}x-tts-tier: free\r\nx-tts-weight: 1\r\nx-tts-caller: {caller}\r\n");
    post(json!({"input": input, "response_format": "pcm"}).to_string(), &headers)
}

#[tokio::test]
async fn a_caller_with_more_than_its_share_is_refused_and_others_are_let_in() {
    let server = start(Limits { workers: 8, max_concurrency: 8, ..limits() }).await;
    assert_eq!(exchange(server.speech, &of("light", "hi")).await.status, 200);
    let mut heavy = Vec::new();
    for number in 1..=6 {
        let mut socket = TcpStream::connect(server.speech).await.unwrap();
        socket.write_all(&of("heavy", "spin")).await.unwrap();
        heavy.push(socket);
        until("it is in", async || metric(server.health, IN_FLIGHT).await == f64::from(number)).await;
    }
    let refused = exchange(server.speech, &of("heavy", "hi")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (429, "TooManyRequests"));
    assert_eq!(refused.header("x-tts-over-share"), Some("true"));
    let light = exchange(server.speech, &of("light", "hi")).await;
    assert_eq!((light.status, light.whole), (200, true));
}

#[tokio::test]
async fn an_open_breaker_lets_in_who_has_less_than_its_share() {
    let limits = Limits { workers: 2, cores: 1, max_concurrency: 30, max_queue_depth: 2, ..limits() };
    let server = start(limits).await;
    let mut heavy = Vec::new();
    for number in 1..=4 {
        let mut socket = TcpStream::connect(server.speech).await.unwrap();
        socket.write_all(&of("heavy", "burn")).await.unwrap();
        heavy.push(socket);
        until("it is in", async || metric(server.health, IN_FLIGHT).await == f64::from(number)).await;
    }
    until("too many wait", async || metric(server.health, BREAKER).await == 1.0).await;
    let mut light = TcpStream::connect(server.speech).await.unwrap();
    light.write_all(&of("light", "hi")).await.unwrap();
    until("it is let in", async || metric(server.health, IN_FLIGHT).await == 5.0).await;
    let refused = exchange(server.speech, &of("heavy", "hi")).await;
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "SystemBusy"));
    assert_eq!(refused.header("x-tts-over-share"), Some("true"));
    server.seen.released.store(true, SeqCst);
    assert_eq!(read_answer(&mut light).await.status, 200);
}

#[tokio::test]
async fn a_short_text_does_not_wait_for_the_end_of_a_long_one() {
    let server = start(Limits { workers: 2, cores: 1, buffered_bytes: 1 << 30, ..limits() }).await;
    let _endless = occupy(&server).await;
    let short = say(server.speech, json!({"input": "hi", "response_format": "pcm"})).await;
    assert_eq!((short.status, short.whole), (200, true));
    assert_eq!(server.seen.broken_off.load(SeqCst), 0, "the other one is still spoken");
}

#[tokio::test]
async fn health_answers_while_every_thread_computes() {
    let server = start(Limits { workers: 8, max_concurrency: 30, ..limits() }).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(begin(server.speech, json!({"input": "burn", "response_format": "pcm"})).await);
    }
    until("all threads compute", async || server.seen.started.load(SeqCst) == 8).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let start = Instant::now();
        assert_eq!(get(server.health, path).await.status, 200);
        assert!(start.elapsed() < AT_ONCE, "{path}: {:?}", start.elapsed());
    }
    server.seen.released.store(true, SeqCst);
    for client in &mut clients {
        assert!(read_answer(client).await.whole);
    }
}
