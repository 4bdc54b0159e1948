//! What callers get from the gateway, whatever the pods do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    net::SocketAddr,
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
    Front, Got, audio, client, code_of, error, failing, hanging, patient, pod, speaking,
    speaking_in_two_parts, streamed, table,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
};
use ttsfleet_gateway::{breaker::State, keys::Key};
use ttsfleet_wire::{
    error::ErrorCode,
    route::{OnExhausted, OnOverflow, RouteTable, TierFrom},
};

/// A pod that speaks, and what it gets.
async fn noting() -> (SocketAddr, mpsc::UnboundedReceiver<Got>) {
    let (sender, got) = mpsc::unbounded_channel();
    let (address, _) = pod(move |got| {
        sender.send(got).unwrap();
        async { audio(stream::iter([Ok(Bytes::from_static(b"audio"))])) }
    })
    .await;
    (address, got)
}

/// A pod's list.
const NO_MODELS: &[u8] = br#"{"object": "list", "data": []}"#;

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
async fn what_a_pod_has_not_spoken_is_told_to_the_caller() {
    let front = Front::start(table()).await;
    let (address, _) = pod(|_| async {
        let mut answer = audio(stream::iter([Ok(Bytes::from_static(b"silence"))]));
        answer.headers_mut().insert("x-tts-skipped-chars", 9.into());
        answer.headers_mut().insert("x-tts-no-words", "true".parse().unwrap());
        answer
    })
    .await;
    front.pods("main", &[address]);
    let response = front.speak(&hello()).await;
    assert_eq!(response.headers()["x-tts-skipped-chars"], "9");
    assert_eq!(response.headers()["x-tts-no-words"], "true");
    assert!(!response.headers().contains_key("x-tts-degraded"), "a pod did all that can be done");
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
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_long_text_is_cut_and_the_answer_says_so() {
    let front = Front::start(table()).await;
    let (address, mut got) = noting().await;
    front.pods("main", &[address]);
    let long = long_text();
    let response = front.speak(&json!({"input": long})).await;
    let (headers, body) = got.recv().await.unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let spoken = sent["input"].as_str().unwrap();
    assert!(spoken.ends_with('.') && spoken.len() <= 600 && spoken.len() > 500);
    assert_eq!(response.headers()["x-tts-truncated"], "true");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-tts-input-chars"], long.len().to_string());
    assert_eq!(response.headers()["x-tts-spoken-chars"], spoken.len().to_string());
    assert_eq!(headers["x-tts-input-chars"], long.len().to_string(), "so that events can say it too");
}

#[rstest]
#[case("wav", "audio/wav")]
#[case("flac", "audio/flac")]
#[case("mp3", "audio/mpeg")]
#[case("opus", "audio/ogg; codecs=opus")]
#[case("aac", "audio/aac")]
#[case("pcm", "audio/pcm")]
#[case("mulaw", "audio/PCMU;rate=8000")]
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
    assert_eq!(response.headers()["cache-control"], "no-store");
    let rate = if format == "mulaw" { "8000" } else { "24000" };
    assert_eq!(response.headers()["x-tts-sample-rate"], rate);
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
async fn an_error_after_all_attempts_can_be_retried_and_is_never_stored() {
    let (hanging, failing) = (hanging().await, failing(ErrorCode::InferenceFailed).await);
    for (pods, status) in [(vec![], 503), (vec![hanging], 504), (vec![failing], 500)] {
        let front = Front::start(RouteTable { on_exhausted: OnExhausted::Error, ..table() }).await;
        front.pods("main", &pods);
        let response = front.speak(&hello()).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u16>().unwrap() >= 1);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["retryable"], true);
    }
}

#[rstest]
#[case(None, None, OnExhausted::Error, 503)]
#[case(None, None, OnExhausted::EmptyAudio, 200)]
#[case(None, Some(OnExhausted::EmptyAudio), OnExhausted::Error, 200)]
#[case(None, Some(OnExhausted::Error), OnExhausted::EmptyAudio, 503)]
#[case(Some("empty-audio"), Some(OnExhausted::Error), OnExhausted::Error, 200)]
#[case(Some("error"), Some(OnExhausted::EmptyAudio), OnExhausted::EmptyAudio, 503)]
#[tokio::test]
async fn the_request_decides_before_the_tier_and_the_tier_before_the_fleet(
    #[case] header: Option<&str>,
    #[case] tier: Option<OnExhausted>,
    #[case] fleet: OnExhausted,
    #[case] status: u16,
) {
    let mut table = RouteTable { on_exhausted: fleet, ..table() };
    table.tiers[0].on_exhausted = tier;
    let front = Front::start(table).await;
    let headers: Vec<_> = header.map(|value| ("x-tts-on-exhausted", value)).into_iter().collect();
    assert_eq!(front.speak_with(&headers, &hello()).await.status(), status);
}

#[tokio::test]
async fn an_unknown_wish_for_that_case_is_refused_in_words() {
    let front = Front::start(table()).await;
    front.pods("main", &[speaking(b"audio").await]);
    let response = front.speak_with(&[("x-tts-on-exhausted", "silence")], &hello()).await;
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("`error`") && message.contains("`empty-audio`"), "{message}");
}

/// A text of 20 sentences, 1,019 characters.
fn long_text() -> String {
    vec!["It is a sentence of fifty characters, more or less."; 20].join(" ")
}

#[tokio::test]
async fn a_long_text_is_spoken_whole_and_waits_for_shorter_ones() {
    let mut table = table();
    table.limits.on_overflow = OnOverflow::Auto;
    table.tiers[0].weight = 7;
    let front = Front::start(table).await;
    let (address, mut got) = noting().await;
    front.pods("main", &[address]);
    let response = front.speak(&json!({"input": long_text()})).await;
    assert!(!response.headers().contains_key("x-tts-truncated"));
    let (headers, body) = got.recv().await.unwrap();
    assert_eq!(headers["x-tts-long"], "true");
    assert!(headers["x-tts-tier"] == "standard" && headers["x-tts-weight"] == "7", "{headers:?}");
    assert!(!headers.contains_key("x-tts-caller"), "no keys are asked for");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["input"], long_text());
    front.speak(&hello()).await;
    assert!(!got.recv().await.unwrap().0.contains_key("x-tts-long"));
}

#[rstest]
#[case::refused(patient(), true)]
#[case::waiting_in_vain(table(), false)]
#[tokio::test]
async fn a_long_text_that_finds_no_room_is_cut_and_so_are_those_after_it(
    #[case] mut table: RouteTable,
    #[case] refuses: bool,
) {
    table.limits.on_overflow = OnOverflow::Auto;
    let front = Front::start(table).await;
    let long = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&long);
    let (address, _) = pod(move |(headers, _)| {
        let is_long = headers.contains_key("x-tts-long");
        counted.fetch_add(usize::from(is_long), Ordering::SeqCst);
        async move {
            match is_long {
                true if refuses => error(ErrorCode::TooManyRequests),
                true => std::future::pending().await,
                false => audio(stream::iter([Ok(Bytes::from_static(b"audio"))])),
            }
        }
    })
    .await;
    front.pods("main", &[address]);
    for _ in 0..2 {
        let response = front.speak(&json!({"input": long_text()})).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-tts-truncated"], "true");
        assert_eq!(response.bytes().await.unwrap(), "audio");
    }
    assert_eq!(long.load(Ordering::SeqCst), 1, "the second one is cut at once");
    let pods = front.gateway.pools.get("main").unwrap().endpoints();
    assert_eq!(pods[0].state(Instant::now()), State::Closed, "waiting is not held against the pod");
}

#[tokio::test]
async fn pods_can_tell_callers_apart_but_not_call_as_they_do() {
    let mut table = table();
    table.tier_from = TierFrom::ApiKey;
    let front = Front::start(table).await;
    let key = Key { tier: "standard".to_owned(), ..Key::default() };
    front.gateway.keys.set(["one", "two"].map(|name| (name.to_owned(), key.clone())));
    let (address, mut got) = noting().await;
    front.pods("main", &[address]);
    let mut seen = Vec::new();
    for key in ["Bearer one", "Bearer two", "Bearer one"] {
        front.speak_with(&[("authorization", key)], &hello()).await;
        let (headers, _) = got.recv().await.unwrap();
        assert!(!headers.contains_key("authorization"));
        seen.push(headers["x-tts-caller"].clone());
    }
    assert!(seen[0] == seen[2] && seen[0] != seen[1], "{seen:?}");
}

#[tokio::test]
async fn a_caller_that_sends_its_body_slowly_holds_no_place() {
    let front = Front::with_places(1, table()).await;
    front.pods("main", &[speaking(b"audio").await]);
    let address = front.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/audio/speech HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
                content-length: 100\r\nexpect: 100-continue\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    // The gateway says so when it begins to read the body.
    let mut seen = [0; 12];
    slow.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 100");
    assert_eq!(front.speak(&hello()).await.status(), 200);
}

#[tokio::test]
async fn a_gateway_about_to_stop_asks_its_callers_to_come_another_way() {
    let front = Front::start(table()).await;
    front.pods("main", &[speaking(b"audio").await]);
    assert!(!front.speak(&hello()).await.headers().contains_key("connection"));
    front.gateway.drain();
    assert_eq!(front.speak(&hello()).await.headers()["connection"], "close");
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
    front.pods("main", &[speaking(NO_MODELS).await]);
    let counts = |metric: &str| front.gateway.metrics.encode().unwrap().contains(metric);
    let (audio, requests) = ("first_audio_seconds_count", "gateway_requests_total{");
    let list = client().get(format!("{}/v1/models", front.url)).send().await.unwrap();
    assert_eq!(list.headers()["cache-control"], "no-cache", "it changes with the model");
    list.bytes().await.unwrap();
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
async fn other_paths_and_methods_are_refused_in_words() {
    let front = Front::start(table()).await;
    let cases = [
        ("GET", "/v1/audio/speech", "MethodNotAllowed", Some("POST,OPTIONS")),
        ("POST", "/v1/models", "MethodNotAllowed", Some("GET,HEAD,OPTIONS")),
        ("DELETE", "/v1/audio/voices", "MethodNotAllowed", Some("GET,HEAD,OPTIONS")),
        ("POST", "/v1/audio/speech/", "NotFound", None),
        ("GET", "/", "NotFound", None),
    ];
    for (method, path, code, allowed) in cases {
        let request = client().request(method.parse().unwrap(), format!("{}{path}", front.url));
        let refused = request.send().await.unwrap();
        let allow = refused.headers().get("allow").map(|allow| allow.to_str().unwrap());
        assert_eq!(allow, allowed, "{method} {path}");
        assert!(refused.headers().contains_key("x-request-id"));
        assert_eq!(code_of(refused).await, code, "{method} {path}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_head_gets_it_alone_and_counts_as_answered() {
    let front = Front::start(table()).await;
    front.pods("main", &[speaking(NO_MODELS).await]);
    let head = client().head(format!("{}/v1/models", front.url)).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["x-tts-pool"].as_bytes()), (200, &b"main"[..]));
    assert_eq!(head.bytes().await.unwrap(), "");
    let ended = |code: &str| front.gateway.metrics.encode().unwrap().contains(&format!("code=\"{code}\""));
    while !ended("OK") {
        assert!(!ended("ClientClosed"));
        tokio::task::yield_now().await;
    }
    let refused = client().head(format!("{}/v1/audio", front.url)).send().await.unwrap();
    assert!(refused.headers()["content-length"] != "0", "what a body would have");
    assert_eq!(refused.status(), 404);
}

#[tokio::test]
async fn words_of_the_fleets_lexicon_are_said_as_soon_as_the_route_says_so() {
    let front = Front::start(table()).await;
    let (pod, mut got) = noting().await;
    front.pods("main", &[pod]);
    let mut sent = async |body: &Value| -> Value {
        assert_eq!(front.speak(body).await.status(), 200);
        serde_json::from_slice(&got.recv().await.unwrap().1).unwrap()
    };
    assert_eq!(sent(&hello()).await, hello());
    let request = json!({"input": "Use kubectl, GIF."});
    let with = |lexicon: Value| json!({"input": "Use kubectl, GIF.", "lexicon": lexicon});
    assert_eq!(sent(&request).await, with(json!({"kubectl": "cube control"})));
    let own = with(json!({"KUBECTL": "cube C T L"}));
    assert_eq!(sent(&own).await, own, "the caller's own come first");

    let lexicon = [("gif".to_owned(), "jiff".to_owned())].into();
    let changed = RouteTable { lexicon, ..table() };
    front.gateway.set_route(ttsfleet_gateway::route::Route::new(changed).unwrap());
    assert_eq!(sent(&request).await, with(json!({"gif": "jiff"})));
    assert_eq!(sent(&own).await, with(json!({"KUBECTL": "cube C T L", "gif": "jiff"})));
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
