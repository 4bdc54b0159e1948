//! A candidate is asked the same, and no caller notices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;
mod trial;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use futures::{StreamExt, future::join_all, stream};
use rstest::rstest;
use serde_json::{Value, json};
use support::{audio, error, failing, patient, pod, speaking, speaking_in_two_parts, streamed, table};
use tokio::sync::Notify;
use trial::{CANDIDATE, JUDGE, Trial, hello, mirror, model};
use ttsfleet_gateway::route::Route;
use ttsfleet_wire::{
    error::ErrorCode,
    judge::Side,
    route::{MirrorRoute, RouteTable},
};

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
        [(pair.baseline, ("sha256:a", &b"stable"[..])), (pair.candidate, ("sha256:b", &b"candidate"[..]))]
    {
        let Side::Audio { digest, content_type, sample_rate, audio, first_audio_ms, total_ms } = side else {
            panic!("{side:?}")
        };
        assert_eq!((digest.as_str(), &audio.0[..]), expected);
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
async fn copies_are_counted_for_the_whole_gateway_whatever_becomes_of_their_rule() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = pod(|_| std::future::pending()).await;
    let rule = MirrorRoute { concurrency: 1, ..mirror() };
    let trial = Trial::start(rule.clone(), main, candidate).await;
    while calls.load(Ordering::SeqCst) == 0 {
        trial.call().await;
    }
    // Another rule for the pool, and one for another pool.
    let before = trial.mirrored("no-place");
    let changed = MirrorRoute { timeout_ms: 29_000, ..rule.clone() };
    let of_backup = MirrorRoute { pool: "backup".to_owned(), ..rule };
    let mut table = RouteTable { mirrors: vec![changed, of_backup], ..patient() };
    trial.front.gateway.set_route(Route::new(table.clone()).unwrap());
    trial.call().await;
    trial.until("no-place", before + 1).await;
    table.tiers[0].pools = vec!["backup".to_owned()];
    trial.front.gateway.set_route(Route::new(table).unwrap());
    trial.front.pods("backup", &[main]);
    trial.call().await;
    let metrics = trial.front.gateway.metrics.encode().unwrap();
    assert!(metrics.contains(r#"mirrored_total{pool="backup",outcome="no-place"} 1"#), "{metrics}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_judge_is_told_of_one_pair_at_a_time() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(mirror(), main, candidate).await;
    let told = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counts = Arc::clone(&told);
    let (judge, _) = pod(move |_| {
        let counts = Arc::clone(&counts);
        async move {
            let [now, most] = &*counts;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            // Time for another one to come, if it is sent.
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Response::new(Body::empty())
        }
    })
    .await;
    trial.front.beside(JUDGE, &[judge]);
    let mut calls = 0;
    while trial.mirrored("judged") < 4 {
        join_all((0..4).map(|_| trial.call())).await;
        calls += 4;
        trial.until("", calls).await;
    }
    assert_eq!(told[1].load(Ordering::SeqCst), 1);
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
async fn a_slow_caller_does_not_make_the_stable_model_look_slow() {
    let pieces = || stream::repeat_with(|| Ok(Bytes::from_static(&[0; 64 << 10]))).take(256);
    let (main, _) = pod(move |_| async move { audio(pieces()) }).await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(MirrorRoute { max_bytes: 64 << 20, ..mirror() }, main, candidate).await;
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
    trial.front.gateway.set_route(Route::new(table()).unwrap());
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
