//! What callers get from the gateway, whatever the pods do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::body::Bytes;
use futures::{StreamExt, stream};
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    Front, audio, client, code_of, error, failing, hanging, patient, pod, speaking, speaking_in_two_parts,
    streamed, table,
};
use tokio::sync::{Notify, mpsc};
use ttsfleet_wire::{
    error::ErrorCode,
    route::{OnExhausted, TierFrom},
};

fn hello() -> Value {
    json!({"input": "Hello.", "response_format": "wav"})
}

#[tokio::test]
async fn audio_is_passed_on_as_it_is_made() {
    let front = Front::start(table()).await;
    let go = Arc::new(Notify::new());
    front.pods("main", &[speaking_in_two_parts(&go).await]);
    let mut response = front.speak(&hello()).await;
    assert_eq!(response.headers()["x-tts-pool"], "main");
    assert_eq!(response.headers()["x-tts-attempts"], "1");
    assert!(response.headers().contains_key("traceparent"));
    assert_eq!(response.chunk().await.unwrap().unwrap(), "begin");
    go.notify_one();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "end");
    assert!(response.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_pod_gets_the_callers_trace_and_id() {
    let front = Front::start(table()).await;
    let (sender, mut got) = mpsc::unbounded_channel();
    let (address, _) = pod(move |(headers, _)| {
        sender.send(headers).unwrap();
        async { error(ErrorCode::UnknownVoice) }
    })
    .await;
    front.pods("main", &[address]);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = client().post(format!("{}/v1/audio/speech", front.url)).json(&hello());
    request.header("traceparent", trace).header("x-request-id", "r-7").send().await.unwrap();
    let headers = got.recv().await.unwrap();
    let parent = headers["traceparent"].to_str().unwrap();
    assert!(parent.contains("0af7651916cd43dd8448eb211c80319c"), "the trace goes on");
    assert!(!parent.contains("b7ad6b7169203331"), "with a span of its own");
    assert_eq!(headers["x-request-id"], "r-7");
}

#[tokio::test]
async fn another_pod_takes_over_from_one_that_hangs_or_fails() {
    for bad in [hanging().await, failing(ErrorCode::InferenceFailed).await] {
        let front = Front::start(table()).await;
        let good = speaking(b"audio").await;
        front.pods("main", &[bad, good]);
        for _ in 0..4 {
            let response = front.speak(&hello()).await;
            assert_eq!(response.status(), 200);
            assert!(!response.headers().contains_key("x-tts-degraded"));
            assert_eq!(response.bytes().await.unwrap(), "audio");
        }
    }
}

#[tokio::test]
async fn the_backup_speaks_for_a_main_pool_without_pods_and_the_answer_says_so() {
    let front = Front::start(table()).await;
    front.pods("backup", &[speaking(b"audio").await]);
    let response = front.speak(&hello()).await;
    assert_eq!(response.headers()["x-tts-degraded"], "backup");
    assert_eq!(response.headers()["x-tts-pool"], "backup");
}

#[tokio::test]
async fn a_long_text_is_cut_and_the_answer_says_so() {
    let front = Front::start(table()).await;
    let (sender, mut got) = mpsc::unbounded_channel();
    let (address, _) = pod(move |got| {
        sender.send(got).unwrap();
        async { audio(stream::iter([Ok(Bytes::from_static(b"audio"))])) }
    })
    .await;
    front.pods("main", &[address]);
    let sentence = "It is a sentence of fifty characters, more or less.";
    let long = vec![sentence; 20].join(" ");
    let response = front.speak(&json!({"input": long})).await;
    let (headers, body) = got.recv().await.unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let spoken = sent["input"].as_str().unwrap();
    assert!(spoken.ends_with('.') && spoken.len() <= 600 && spoken.len() > 500);
    assert_eq!(response.headers()["x-tts-truncated"], "true");
    assert_eq!(response.headers()["x-tts-input-chars"], long.len().to_string());
    assert_eq!(response.headers()["x-tts-spoken-chars"], spoken.len().to_string());
    assert_eq!(headers["x-tts-input-chars"], long.len().to_string(), "so that events can say it too");
}

#[rstest]
#[case("wav", "audio/wav")]
#[case("flac", "audio/flac")]
#[case("mp3", "audio/mpeg")]
#[case("opus", "audio/ogg; codecs=opus")]
#[case("pcm", "audio/pcm")]
#[tokio::test]
async fn when_all_fails_the_caller_gets_a_file_without_sound(
    #[case] format: &str,
    #[case] content_type: &str,
) {
    let front = Front::start(table()).await;
    front.pods("main", &[failing(ErrorCode::InferenceFailed).await]);
    let response = front.speak(&json!({"input": "Hello.", "response_format": format})).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-tts-degraded"], "empty-audio");
    assert_eq!(response.headers()["content-type"], content_type);
    let metrics = front.gateway.metrics.encode().unwrap();
    assert!(
        metrics.contains(r#"code="InferenceFailed",status="500""#),
        "not counted as a success: {metrics}"
    );
}

#[tokio::test]
async fn a_file_without_sound_comes_in_events_where_those_were_asked_for() {
    let front = Front::start(table()).await;
    let response = front.speak(&json!({"input": "Hello.", "stream_format": "sse"})).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    assert!(text.contains("speech.audio.delta") && text.contains(r#""degraded":"empty-audio""#), "{text}");
}

#[tokio::test]
async fn a_fleet_that_prefers_errors_answers_the_last_one() {
    let mut table = table();
    table.on_exhausted = OnExhausted::Error;
    let front = Front::start(table).await;
    assert_eq!(code_of(front.speak(&hello()).await).await, "NoEndpoint");
    front.pods("main", &[hanging().await]);
    let response = front.speak(&hello()).await;
    assert_eq!(response.status(), 504);
    assert_eq!(code_of(response).await, "UpstreamTimeout");
}

#[tokio::test]
async fn what_the_pod_finds_wrong_is_told_in_its_words_and_tried_once() {
    let front = Front::start(patient()).await;
    let (address, calls) = pod(|_| async { error(ErrorCode::UnknownVoice) }).await;
    front.pods("main", &[address]);
    let response = front.speak(&hello()).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["message"], "in the pod's words");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[rstest]
#[case(ErrorCode::TooManyRequests, 429)]
#[case(ErrorCode::SystemBusy, 503)]
#[tokio::test]
async fn full_pods_mean_a_refusal_at_once_and_no_empty_file(#[case] code: ErrorCode, #[case] status: u16) {
    let table = patient();
    let attempt = Duration::from_millis(u64::from(table.timeouts.attempt_ms));
    let front = Front::start(table).await;
    front.pods("main", &[failing(code).await, failing(code).await]);
    let begun = Instant::now();
    let response = front.speak(&hello()).await;
    assert!(begun.elapsed() < attempt, "no attempt's time was waited for");
    assert_eq!(response.status(), status);
    assert_eq!(code_of(response).await, code.entry().code);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_passed_off_as_whole() {
    let broken = || {
        let rest = stream::once(async {
            tokio::task::yield_now().await;
            Err(std::io::Error::other("killed"))
        });
        stream::iter([Ok(Bytes::from_static(b"data: {}\n\ndata: {\"half"))]).chain(rest)
    };
    let front = Front::start(table()).await;
    let (file, _) = pod(move |_| async move { audio(broken()) }).await;
    front.pods("main", &[file]);
    assert!(front.speak(&hello()).await.bytes().await.is_err());

    let (events, _) = pod(move |_| async move { streamed("text/event-stream", broken()) }).await;
    front.pods("main", &[events]);
    let response = front.speak(&json!({"input": "Hello.", "stream_format": "sse"})).await;
    let text = response.text().await.unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2, "{text}");
    assert!(events[1].contains(r#""error_code":"UpstreamFailed""#), "{text}");
}

#[tokio::test]
async fn an_answer_that_stalls_is_cut_off() {
    let front = Front::start(table()).await;
    let stalling = || stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(stream::pending());
    let (address, _) = pod(move |_| async move { audio(stalling()) }).await;
    front.pods("main", &[address]);
    assert!(front.speak(&hello()).await.bytes().await.is_err());
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_work() {
    struct Told(mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            _ = self.0.send(());
        }
    }
    let front = Front::start(table()).await;
    let (sender, mut ended) = mpsc::unbounded_channel();
    let (address, _) = pod(move |_| {
        let told = Told(sender.clone());
        async move {
            let endless = stream::unfold(told, |told| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok(Bytes::from_static(b"more")), told))
            });
            audio(endless)
        }
    })
    .await;
    front.pods("main", &[address]);
    let mut response = front.speak(&hello()).await;
    response.chunk().await.unwrap();
    let pod = Arc::clone(&front.gateway.pools.get("main").unwrap().endpoints()[0]);
    assert_eq!(pod.outstanding(), 1);
    drop(response);
    ended.recv().await.unwrap();
    while pod.outstanding() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_is_read_from_a_pod_than_the_caller_takes() {
    const PIECE: usize = 64 << 10;
    let front = Front::start(table()).await;
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let (address, _) = pod(move |_| {
        let counted = Arc::clone(&counted);
        async move {
            audio(stream::repeat_with(move || {
                counted.fetch_add(PIECE, Ordering::SeqCst);
                Ok(Bytes::from_static(&[0; PIECE]))
            }))
        }
    })
    .await;
    front.pods("main", &[address]);
    let _response = front.speak(&hello()).await;
    // Until nothing moves any more: what is in flight fills the sockets' buffers.
    let mut seen = 0;
    while made.load(Ordering::SeqCst) != seen {
        seen = made.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(seen < 32 << 20, "{seen} bytes were read for a caller that takes none");
}

#[tokio::test]
async fn a_missing_key_is_refused_as_openai_would() {
    let mut table = table();
    table.tier_from = TierFrom::ApiKey;
    let front = Front::start(table).await;
    let response = front.speak(&hello()).await;
    assert_eq!(response.status(), 401);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["type"], "authentication_error");
}

#[tokio::test]
async fn a_list_of_models_counts_as_a_request_and_not_as_audio() {
    let front = Front::start(table()).await;
    front.pods("main", &[speaking(b"{}").await]);
    let counts = |metric: &str| front.gateway.metrics.encode().unwrap().contains(metric);
    let (audio, requests) = ("first_audio_seconds_count", "gateway_requests_total{");
    client().get(format!("{}/v1/models", front.url)).send().await.unwrap().bytes().await.unwrap();
    while !counts(requests) {
        tokio::task::yield_now().await;
    }
    assert!(!counts(audio));
    front.speak(&hello()).await.bytes().await.unwrap();
    while !counts(audio) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_route_holds_for_new_requests_and_spares_those_under_way() {
    let front = Front::start(table()).await;
    let go = Arc::new(Notify::new());
    front.pods("main", &[speaking_in_two_parts(&go).await]);
    let under_way = front.speak(&hello()).await;
    let mut changed = table();
    changed.tiers[0].pools = vec!["backup".to_owned()];
    changed.pools.remove(0);
    front.gateway.set_route(ttsfleet_gateway::route::Route::new(changed).unwrap());
    front.pods("backup", &[speaking(b"audio").await]);
    assert_eq!(front.speak(&hello()).await.headers()["x-tts-pool"], "backup");
    go.notify_one();
    assert_eq!(under_way.bytes().await.unwrap(), "beginend");
}
