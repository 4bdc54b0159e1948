//! How the gateway deals with pods that are full, leave, or break off.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::http::HeaderValue;
use serde_json::{Value, json};
use support::{Front, audio, code_of, error, patient, pod, speaking};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::Notify};
use ttsfleet_gateway::health::{Check, Health};
use ttsfleet_wire::error::ErrorCode;

fn hello() -> Value {
    json!({"input": "Hello.", "response_format": "wav"})
}

/// A pod that reads some of each request and closes the connection.
async fn breaking_off() -> (SocketAddr, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            _ = connection.read(&mut [0; 64]).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, calls)
}

#[tokio::test]
async fn a_pod_that_breaks_off_before_it_has_said_anything_costs_its_callers_no_pause() {
    let mut table = patient();
    table.retries.initial_backoff_ms = 60_000;
    table.retries.max_backoff_ms = 60_000;
    let front = Front::start(table).await;
    let (broken, calls) = breaking_off().await;
    front.pods("main", &[broken, speaking(b"audio").await]);
    for _ in 0..20 {
        assert_eq!(front.speak(&hello()).await.bytes().await.unwrap(), "audio");
    }
    let calls = calls.load(Ordering::SeqCst);
    assert!(calls > 0 && calls <= 5, "left alone after {calls} calls");
    let pods = front.gateway.pools.get("main").unwrap().endpoints();
    assert_eq!(pods[0].health(), Health::Ready, "it accepts connections");
}

#[tokio::test]
async fn what_a_pod_has_begun_is_waited_for_when_it_says_that_it_is_not_ready() {
    let front = Front::start(patient()).await;
    let (go, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, tells) = (Arc::clone(&go), Arc::clone(&asked));
    let (leaving, calls) = pod(move |_| {
        let (told, tells) = (Arc::clone(&told), Arc::clone(&tells));
        async move {
            tells.notify_one();
            told.notified().await;
            audio(futures::stream::iter([Ok("begun before".into())]))
        }
    })
    .await;
    front.pods("main", &[leaving]);
    let begun = async {
        let response = front.speak(&hello()).await;
        assert_eq!(response.headers()["x-tts-attempts"], "1");
        response.bytes().await.unwrap()
    };
    let meanwhile = async {
        asked.notified().await;
        front.pods("main", &[leaving, speaking(b"another").await]);
        let pods = front.gateway.pools.get("main").unwrap().endpoints();
        for _ in 0..3 {
            pods[0].checked(Check::Unready, Instant::now());
        }
        for _ in 0..10 {
            assert_eq!(front.speak(&hello()).await.bytes().await.unwrap(), "another");
        }
        go.notify_one();
    };
    let (begun, ()) = tokio::join!(begun, meanwhile);
    assert_eq!(begun, "begun before");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refusal_for_having_more_than_ones_share_is_no_failure_and_goes_to_the_caller() {
    let front = Front::start(patient()).await;
    let (full, calls) = pod(|_| async {
        let mut response = error(ErrorCode::TooManyRequests);
        response.headers_mut().insert("x-tts-over-share", HeaderValue::from_static("true"));
        response.headers_mut().insert("retry-after", HeaderValue::from_static("2"));
        response
    })
    .await;
    front.pods("main", &[full]);
    for _ in 0..2 {
        let response = front.speak(&hello()).await;
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(code_of(response).await, "TooManyRequests");
    }
    assert!(calls.load(Ordering::SeqCst) >= 1);
    front.pods("main", &[full, speaking(b"audio").await]);
    assert_eq!(front.speak(&hello()).await.bytes().await.unwrap(), "audio", "another pod has room for it");
}
