//! A candidate is asked the same, and no caller notices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use futures::{Stream, StreamExt, future::join_all, stream};
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    Front, audio, error, failing, hanging, patient, pod, speaking, speaking_in_two_parts, streamed, table,
};
use tokio::sync::{Notify, mpsc};
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{Pair, Side},
    route::{MirrorRoute, RouteTable},
};

const CANDIDATE: &str = "narrator-main-shadow";
const JUDGE: &str = "narrator-main-judge";

fn mirror() -> MirrorRoute {
    MirrorRoute {
        pool: "main".to_owned(),
        service: CANDIDATE.to_owned(),
        judge: JUDGE.to_owned(),
        percent: 100,
        timeout_ms: 30_000,
        max_bytes: 1 << 20,
        concurrency: 4,
    }
}

fn hello() -> Value {
    json!({"input": "Hello.", "response_format": "wav"})
}

/// A fleet whose main pool speaks, with a mirror and a judge.
struct Trial {
    front: Front,
    pairs: mpsc::UnboundedReceiver<Pair>,
    /// What the judge answers.
    judges: Arc<AtomicU16>,
}

impl Trial {
    async fn start(mirror: MirrorRoute, main: SocketAddr, candidate: SocketAddr) -> Self {
        let front = Front::start(RouteTable { mirrors: vec![mirror], ..patient() }).await;
        let (sender, pairs) = mpsc::unbounded_channel();
        let judges = Arc::new(AtomicU16::new(202));
        let says = Arc::clone(&judges);
        let (judge, _) = pod(move |(_, body)| {
            sender.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(says.load(Ordering::SeqCst)).unwrap();
            async { response }
        })
        .await;
        front.pods("main", &[main]);
        front.beside(CANDIDATE, &[candidate]);
        front.beside(JUDGE, &[judge]);
        Self { front, pairs, judges }
    }

    /// A caller that takes all of its answer.
    async fn call(&self) {
        let response = self.front.speak(&hello()).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    }

    /// How many copies ended so; in any way, if none is named.
    fn mirrored(&self, outcome: &str) -> usize {
        let line = format!(r#"mirrored_total{{pool="main",outcome="{outcome}"#);
        let metrics = self.front.gateway.metrics.encode().unwrap();
        let lines = metrics.lines().filter(|text| text.contains(&line));
        lines.map(|text| text.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    }

    async fn until(&self, outcome: &str, times: usize) {
        let count = async {
            while self.mirrored(outcome) < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(20), count).await;
        assert!(counted.is_ok(), "{}", self.front.gateway.metrics.encode().unwrap());
        assert_eq!(self.mirrored(outcome), times);
    }

    /// Calls until a copy ends so. On a busy machine a caller may seem slow at
    /// first, but nothing else may happen.
    async fn call_until(&self, outcome: &str) {
        loop {
            let (slow, others) = (self.mirrored("caller-slow"), self.mirrored(""));
            self.call().await;
            self.until("", others + 1).await;
            if self.mirrored("caller-slow") == slow {
                assert_eq!(self.mirrored(outcome), 1, "{}", self.front.gateway.metrics.encode().unwrap());
                return;
            }
        }
    }
}

/// Audio that breaks off after its first piece.
fn breaking_off() -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let rest = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("killed"))
    });
    stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(rest)
}

/// A pod that says which model speaks.
async fn model(digest: &'static str, bytes: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    pod(move |_| async move {
        let mut response = audio(stream::iter([Ok(Bytes::from_static(bytes))]));
        for (name, value) in [("x-tts-digest", digest), ("x-tts-sample-rate", "24000")] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await
}

#[tokio::test]
async fn a_pair_has_the_text_as_spoken_and_both_audios() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let mut trial = Trial::start(mirror(), main, candidate).await;
    let mut requests = 0;
    let long = "It is a sentence. ".repeat(50);
    let body = json!({"input": long, "response_format": "wav"});
    while trial.mirrored("judged") == 0 {
        let response = trial.front.speak(&body).await;
        assert_eq!(response.headers()["x-tts-digest"], "sha256:a");
        assert_eq!(response.headers()["x-tts-sample-rate"], "24000");
        assert_eq!(response.bytes().await.unwrap(), "stable");
        requests += 1;
        trial.until("", requests).await;
    }
    let pair = trial.pairs.recv().await.unwrap();
    assert!(pair.text.ends_with("sentence.") && pair.text.len() <= 600, "cut as for the caller");
    for (side, expected) in
        [(pair.baseline, ["sha256:a", "c3RhYmxl"]), (pair.candidate, ["sha256:b", "Y2FuZGlkYXRl"])]
    {
        let Side::Audio { digest, content_type, sample_rate, audio, first_audio_ms, total_ms } = side else {
            panic!("{side:?}")
        };
        assert_eq!([digest, audio], expected);
        assert_eq!((content_type.as_str(), sample_rate), ("audio/wav", 24_000));
        assert!(0.0 < first_audio_ms && first_audio_ms <= total_ms, "{first_audio_ms}, {total_ms}");
    }
    let metrics = trial.front.gateway.metrics.encode().unwrap();
    let counted = metrics.lines().filter(|line| line.contains("gateway_requests_total{"));
    let counted: Vec<&str> = counted.map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(counted, [requests.to_string()], "the callers', and none of the mirror's");
}

#[tokio::test]
async fn the_wait_for_a_synthesis_thread_is_not_the_models() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, _) = pod(|_| async {
        let mut response = audio(stream::iter([Ok(Bytes::from_static(b"audio"))]));
        response.headers_mut().insert("x-tts-queue-ms", 60_000.into());
        response
    })
    .await;
    let mut trial = Trial::start(mirror(), main, candidate).await;
    trial.call_until("judged").await;
    let Side::Audio { total_ms, .. } = trial.pairs.recv().await.unwrap().candidate else { panic!() };
    assert_eq!(total_ms, 0.0);
}

#[tokio::test]
async fn heavy_traffic_is_copied_at_exactly_its_share() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let rule = MirrorRoute { percent: 5, concurrency: 64, ..mirror() };
    let trial = Trial::start(rule, main, candidate).await;
    let callers = (0..16).map(|_| async {
        for _ in 0..25 {
            trial.call().await;
        }
    });
    join_all(callers).await;
    trial.until("", 20).await;
    assert_eq!(trial.mirrored("judged"), calls.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_candidate_that_hangs_holds_its_places_and_no_caller() {
    let (candidate, calls) = pod(|_| std::future::pending()).await;
    let (main, _) = model("sha256:a", b"stable").await;
    let trial = Trial::start(MirrorRoute { concurrency: 2, ..mirror() }, main, candidate).await;
    while calls.load(Ordering::SeqCst) < 2 {
        trial.call().await;
    }
    let before = trial.mirrored("no-place");
    for _ in 0..10 {
        trial.call().await;
    }
    trial.until("no-place", before + 10).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_candidate_that_is_late_has_failed() {
    let (main, _) = model("sha256:a", b"stable").await;
    let begins = || stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(stream::pending());
    let (stalls, _) = pod(move |_| async move { audio(begins()) }).await;
    for candidate in [hanging().await, stalls] {
        let mut trial = Trial::start(MirrorRoute { timeout_ms: 50, ..mirror() }, main, candidate).await;
        trial.call_until("judged").await;
        let failed = Side::Failed { code: "UpstreamTimeout".to_owned() };
        assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
    }
}

#[rstest]
#[case(ErrorCode::InferenceFailed)]
#[case(ErrorCode::UnknownVoice)]
#[tokio::test]
async fn a_candidate_that_fails_or_declines_is_told_of_with_the_code(#[case] code: ErrorCode) {
    let (main, _) = model("sha256:a", b"stable").await;
    let mut trial = Trial::start(mirror(), main, failing(code).await).await;
    trial.call_until("judged").await;
    let failed = Side::Failed { code: code.entry().code.to_owned() };
    assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
}

#[tokio::test]
async fn a_candidate_that_breaks_off_or_never_ends_has_failed() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (breaks, _) = pod(|_| async { audio(breaking_off()) }).await;
    let endless = || stream::repeat_with(|| Ok(Bytes::from_static(&[0; 4096])));
    let (goes_on, _) = pod(move |_| async move { audio(endless()) }).await;
    for (candidate, code) in [(breaks, "UpstreamFailed"), (goes_on, "AudioTooLong")] {
        let mut trial = Trial::start(mirror(), main, candidate).await;
        trial.call_until("judged").await;
        let failed = Side::Failed { code: code.to_owned() };
        assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
    }
}

#[tokio::test]
async fn a_candidate_that_is_away_or_full_says_nothing_of_its_model() {
    let (main, _) = model("sha256:a", b"stable").await;
    let away = {
        // A port that was free a moment ago.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let full = failing(ErrorCode::TooManyRequests).await;
    for (candidate, outcome) in [(away, "candidate-away"), (full, "candidate-busy")] {
        let mut trial = Trial::start(mirror(), main, candidate).await;
        trial.call_until(outcome).await;
        assert!(trial.pairs.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_full_judge_is_left_alone_for_a_while() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    trial.judges.store(429, Ordering::SeqCst);
    trial.call_until("judge-full").await;
    trial.call().await;
    trial.until("judge-full", 2).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1, "the candidate speaks no more in vain");
}

#[tokio::test]
async fn a_pair_that_the_judge_does_not_want_is_counted_as_such() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    trial.judges.store(409, Ordering::SeqCst);
    trial.call_until("judge-refused").await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_passed_on_and_not_copied() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(MirrorRoute { max_bytes: 5, ..mirror() }, main, candidate).await;
    assert_eq!(trial.front.speak(&hello()).await.bytes().await.unwrap(), "stable");
    trial.until("too-long", 1).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_copy_along() {
    let go = Arc::new(Notify::new());
    let main = speaking_in_two_parts(&go).await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(MirrorRoute { concurrency: 1, ..mirror() }, main, candidate).await;
    let mut response = trial.front.speak(&hello()).await;
    response.chunk().await.unwrap();
    drop(response);
    trial.until("caller-gone", 1).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    while calls.load(Ordering::SeqCst) == 0 {
        let response = trial.front.speak(&hello()).await;
        go.notify_one();
        assert_eq!(response.bytes().await.unwrap(), "beginend");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_put_to_the_candidate() {
    let (main, _) = pod(|_| async { audio(breaking_off()) }).await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    assert!(trial.front.speak(&hello()).await.bytes().await.is_err());
    trial.until("broke-off", 1).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_slow_caller_does_not_make_the_stable_model_look_slow() {
    let pieces = || stream::repeat_with(|| Ok(Bytes::from_static(&[0; 64 << 10]))).take(256);
    let (main, _) = pod(move |_| async move { audio(pieces()) }).await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(MirrorRoute { max_bytes: 32 << 20, ..mirror() }, main, candidate).await;
    let response = trial.front.speak(&hello()).await;
    // Longer than all else takes here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(response.bytes().await.unwrap().len(), 16 << 20);
    trial.until("caller-slow", 1).await;
}

#[rstest]
#[case::events(json!({"input": "Hello.", "response_format": "wav", "stream_format": "sse"}))]
#[case::a_format_the_judge_cannot_read(json!({"input": "Hello.", "response_format": "opus"}))]
#[case::a_version_that_the_candidate_is_not(json!({"input": "Hello.", "response_format": "wav", "model": "narrator@1"}))]
#[tokio::test]
async fn what_cannot_be_compared_is_not_copied(#[case] body: Value) {
    let main = pod(|_| async {
        streamed("text/event-stream", stream::iter([Ok(Bytes::from_static(b"data: {}\n\n"))]))
    });
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main.await.0, candidate).await;
    for _ in 0..3 {
        trial.front.speak(&body).await.bytes().await.unwrap();
    }
    assert!(!trial.front.gateway.metrics.encode().unwrap().contains("mirrored_total{"));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn neither_the_backups_answer_nor_a_refusal_is_copied() {
    let main = failing(ErrorCode::UnknownVoice).await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let of_backup = MirrorRoute { pool: "backup".to_owned(), ..mirror() };
    for rule in [mirror(), of_backup] {
        let trial = Trial::start(rule, main, candidate).await;
        assert_eq!(trial.front.speak(&hello()).await.status(), 400);
        trial.front.pods("main", &[]);
        trial.front.pods("backup", &[speaking(b"audio").await]);
        let response = trial.front.speak(&hello()).await;
        assert_eq!(response.headers()["x-tts-degraded"], "backup");
        response.bytes().await.unwrap();
        assert!(!trial.front.gateway.metrics.encode().unwrap().contains("mirrored_total{"));
    }
}

#[tokio::test]
async fn a_mirror_ends_with_its_rule_and_without_pods_costs_nothing() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    trial.front.beside(JUDGE, &[]);
    trial.call().await;
    trial.until("judge-away", 1).await;
    trial.front.beside(CANDIDATE, &[]);
    trial.call().await;
    trial.until("candidate-away", 1).await;
    trial.front.gateway.set_route(ttsfleet_gateway::route::Route::new(table()).unwrap());
    trial.call().await;
    assert!(trial.front.gateway.mirrors.services.all().is_empty());
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_of_known_length_is_whole_with_its_last_byte() {
    let (main, _) = pod(|_| async {
        let mut response = error(ErrorCode::InferenceFailed);
        *response.status_mut() = StatusCode::OK;
        response.map(|_| Body::from("stable"))
    })
    .await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    let response = trial.front.speak(&hello()).await;
    assert_eq!(response.content_length(), Some(6));
    response.bytes().await.unwrap();
    trial.until("judged", 1).await;
}
