//! The judge is told what callers ask for, and no caller notices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;
mod trial;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures::{future::join_all, stream};
use rstest::rstest;
use serde_json::{Value, json};
use support::{audio, error, failing, patient, pod, speaking, table};
use trial::{JUDGE, Trial, hello, mirror};
use ttsfleet_gateway::route::Route;
use ttsfleet_wire::{
    error::ErrorCode,
    judge::MOST_TEXT_CHARS,
    route::{MirrorRoute, Retries, RouteTable, SlowCallBreaker, TextLimits},
};

#[tokio::test]
async fn the_judge_is_told_what_is_spoken_and_nothing_of_the_answer() {
    let mut trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    let long = "It is a sentence. ".repeat(50);
    let body = json!({"input": long, "voice": "heart", "speed": 1.5, "response_format": "opus"});
    let response = trial.front.speak(&body).await;
    assert_eq!(response.bytes().await.unwrap(), "stable");
    let told = trial.told.recv().await.unwrap();
    let text = told["text"].as_str().unwrap();
    assert!(text.ends_with("sentence.") && text.len() <= 600, "cut as for the caller");
    assert_eq!(told, json!({"text": text, "voice": "heart", "speed": 1.5}));
    trial.until("passed-on", 1).await;
    let metrics = trial.front.gateway.metrics.encode().unwrap();
    let counted = metrics.lines().filter(|line| line.contains("gateway_requests_total{"));
    let counted: Vec<&str> = counted.map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(counted, ["1"], "the callers', and none of the mirror's");
}

/// Two pods; whichever is called first fails in this way, or hangs.
async fn but_for_the_first_call(failure: Option<ErrorCode>) -> Vec<SocketAddr> {
    let calls = Arc::new(AtomicUsize::new(0));
    let respond = move |_| {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            match (is_first, failure) {
                (true, Some(code)) => error(code),
                (true, None) => std::future::pending().await,
                (false, _) => audio(stream::iter([Ok(Bytes::from_static(b"audio"))])),
            }
        }
    };
    vec![pod(respond.clone()).await.0, pod(respond).await.0]
}

/// However the caller's own answer was come by: saved by another attempt, by a
/// second pod beside a late one, by the backup, or not at all.
#[tokio::test]
async fn a_request_is_told_once_and_alike_whatever_its_answer_took() {
    let retried = but_for_the_first_call(Some(ErrorCode::InferenceFailed)).await;
    let hedged = but_for_the_first_call(None).await;
    let failed = vec![failing(ErrorCode::InferenceFailed).await];
    for (main, backup) in [(retried, None), (hedged, None), (failed.clone(), Some(b"audio")), (failed, None)]
    {
        let retries = Retries { budget_percent: 100, ..patient().retries };
        let breaker = SlowCallBreaker { threshold_ms: 50, ..patient().breaker };
        let table = RouteTable { mirrors: vec![mirror()], retries, breaker, ..patient() };
        let mut trial = Trial::of(table, &main).await;
        if let Some(audio) = backup {
            trial.front.pods("backup", &[speaking(audio).await]);
        }
        trial.call().await;
        trial.until("passed-on", 1).await;
        assert_eq!(trial.told.recv().await.unwrap(), json!({"text": "Hello."}));
        assert!(trial.told.try_recv().is_err());
    }
}

#[tokio::test]
async fn heavy_traffic_is_passed_on_at_exactly_its_share() {
    let trial = Trial::start(MirrorRoute { percent: 5, ..mirror() }, &[speaking(b"stable").await]).await;
    let callers = (0..16).map(|_| async {
        for _ in 0..25 {
            trial.call().await;
        }
    });
    join_all(callers).await;
    trial.until("", 20).await;
}

#[tokio::test]
async fn a_judge_that_hangs_holds_its_places_and_no_caller_whatever_becomes_of_the_rule() {
    let main = speaking(b"stable").await;
    let trial = Trial::start(mirror(), &[main]).await;
    let (judge, calls) = pod(|_| std::future::pending()).await;
    trial.front.beside(JUDGE, &[judge]);
    while trial.mirrored("no-place") == 0 {
        trial.call().await;
    }
    assert!((1..=8).contains(&calls.load(Ordering::SeqCst)), "{calls:?}");
    // Another rule, and another pool: the places are the gateway's.
    let before = trial.mirrored("no-place");
    let mut table = RouteTable { mirrors: vec![MirrorRoute { percent: 99, ..mirror() }], ..patient() };
    trial.front.gateway.set_route(Route::new(table.clone()).unwrap());
    for _ in 0..3 {
        trial.call().await;
    }
    assert!(trial.mirrored("no-place") >= before + 2);
    table.mirrors = vec![MirrorRoute { pool: "backup".to_owned(), ..mirror() }];
    table.tiers[0].pools = vec!["backup".to_owned()];
    trial.front.gateway.set_route(Route::new(table).unwrap());
    trial.front.pods("backup", &[main]);
    trial.call().await;
    let metrics = trial.front.gateway.metrics.encode().unwrap();
    assert!(metrics.contains(r#"mirrored_total{pool="backup",outcome="no-place"} 1"#), "{metrics}");
    // They are given up in the end.
    trial.until("judge-away", 8).await;
}

#[tokio::test]
async fn a_full_judge_is_left_alone_for_a_while() {
    let mut trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    trial.judges.store(429, Ordering::SeqCst);
    trial.call().await;
    trial.until("judge-full", 1).await;
    trial.call().await;
    trial.until("judge-full", 2).await;
    trial.told.recv().await.unwrap();
    assert!(trial.told.try_recv().is_err(), "it is not told in vain");
}

#[tokio::test]
async fn a_request_that_the_judge_does_not_want_is_counted_as_such() {
    let trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    trial.judges.store(400, Ordering::SeqCst);
    trial.call().await;
    trial.until("judge-refused", 1).await;
}

#[tokio::test]
async fn a_judge_that_is_not_there_is_counted_as_such() {
    let trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    let away = {
        // A port that was free a moment ago.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    for (pods, times) in [(vec![away], 1), (vec![], 2)] {
        trial.front.beside(JUDGE, &pods);
        trial.call().await;
        trial.until("judge-away", times).await;
    }
}

#[rstest]
#[case::a_version_that_one_of_them_is_not(json!({"input": "Hello.", "model": "narrator@1"}))]
#[case::more_than_is_listened_to(json!({"input": "a".repeat(MOST_TEXT_CHARS + 1)}))]
#[tokio::test]
async fn what_cannot_be_compared_is_not_passed_on(#[case] body: Value) {
    let limits = TextLimits { max_input_chars: 4000, ..patient().limits };
    let table = RouteTable { mirrors: vec![mirror()], limits, ..patient() };
    let trial = Trial::of(table, &[speaking(b"stable").await]).await;
    for _ in 0..3 {
        assert_eq!(trial.front.speak(&body).await.status(), 200);
    }
    assert!(trial.is_idle());
}

#[rstest]
#[case::that_a_pod_found_at_fault(ErrorCode::UnknownVoice)]
#[case::for_which_there_was_no_room(ErrorCode::TooManyRequests)]
#[tokio::test]
async fn a_request_is_not_passed_on(#[case] code: ErrorCode) {
    let trial = Trial::start(mirror(), &[failing(code).await]).await;
    let response = trial.front.speak(&hello()).await;
    assert_eq!(response.status().as_u16(), code.entry().status);
    response.bytes().await.unwrap();
    assert!(trial.is_idle());
}

#[tokio::test]
async fn only_requests_of_the_pool_that_they_are_meant_for_are_passed_on() {
    let trial =
        Trial::start(MirrorRoute { pool: "backup".to_owned(), ..mirror() }, &[speaking(b"stable").await])
            .await;
    trial.call().await;
    trial.front.pods("main", &[]);
    trial.front.pods("backup", &[speaking(b"stable").await]);
    trial.call().await;
    assert!(!trial.front.gateway.metrics.encode().unwrap().contains("mirrored_total{"));
}

#[tokio::test]
async fn a_mirror_ends_with_its_rule() {
    let trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    trial.front.gateway.set_route(Route::new(table()).unwrap());
    trial.call().await;
    assert!(trial.is_idle());
    assert!(trial.front.gateway.mirrors.services.all().is_empty());
}

/// The caller has its answer while the judge still thinks about the request.
#[tokio::test]
async fn no_caller_waits_for_the_judge() {
    let trial = Trial::start(mirror(), &[speaking(b"stable").await]).await;
    let (judge, calls) = pod(|_| std::future::pending()).await;
    trial.front.beside(JUDGE, &[judge]);
    trial.call().await;
    let told = async {
        while calls.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert!(trial.is_idle(), "it is still being told");
}
