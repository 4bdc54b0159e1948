//! What callers may have: how much is left, who is refused, and that a fleet's
//! gateways count as one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, Response},
};
use futures::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use support::{Front, code_of, failing, pod, speaking, table};
use tokio::net::TcpListener;
use ttsfleet_gateway::{
    keys::Key,
    usage::{exchange, routes},
};
use ttsfleet_wire::{
    error::ErrorCode,
    route::{OnExhausted, Quota, RouteTable, TierFrom},
};

const CHARS: usize = 5;

fn hello() -> Value {
    json!({"input": "Hello"})
}

fn quota(requests: Option<u32>, characters: Option<u64>) -> Quota {
    Quota { requests_per_minute: requests, characters_per_day: characters }
}

/// A fleet with keys, whose tier has this quota.
async fn with_keys(tier: Quota, keys: &[(&str, Key)]) -> Front {
    let mut table = RouteTable { tier_from: TierFrom::ApiKey, on_exhausted: OnExhausted::Error, ..table() };
    table.tiers[0].quota = tier;
    let front = Front::start(table).await;
    front.gateway.keys.set(keys.iter().map(|(key, of)| ((*key).to_owned(), of.clone())));
    front
}

fn standard() -> Key {
    Key { tier: "standard".to_owned(), ..Key::default() }
}

async fn ask(front: &Front, key: &str) -> reqwest::Response {
    front.speak_with(&[("authorization", &format!("Bearer {key}"))], &hello()).await
}

fn left(response: &reqwest::Response, what: &str) -> Option<String> {
    let value = response.headers().get(format!("x-ratelimit-remaining-{what}"))?;
    Some(value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_key_has_its_tiers_quota_and_is_told_what_is_left_of_it() {
    let keys = [("one", standard()), ("two", standard())];
    let front = with_keys(quota(Some(2), Some(100)), &keys).await;
    front.pods("main", &[speaking(b"audio").await]);
    for (requests, characters) in [("1", "95"), ("0", "90")] {
        let response = ask(&front, "one").await;
        assert_eq!(response.status(), 200);
        assert_eq!(left(&response, "requests").as_deref(), Some(requests));
        assert_eq!(left(&response, "characters").as_deref(), Some(characters));
        assert_eq!(response.headers()["x-ratelimit-limit-requests"], "2");
    }
    let refused = ask(&front, "one").await;
    assert_eq!((refused.status().as_u16(), left(&refused, "requests").as_deref()), (429, Some("0")));
    assert!(!refused.headers().contains_key("x-should-retry"), "it may be sent again");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=120).contains(&wait), "{wait}");
    assert_eq!(code_of(refused).await, "RateLimited");
    assert_eq!(ask(&front, "two").await.status(), 200, "another key");
}

#[tokio::test]
async fn a_text_beyond_the_days_characters_is_refused_and_clients_do_not_try_again() {
    let own = Key { quota: quota(None, Some(8)), ..standard() };
    let front = with_keys(Quota::default(), &[("small", own), ("free", standard())]).await;
    front.pods("main", &[speaking(b"audio").await]);
    assert_eq!(left(&ask(&front, "small").await, "characters").as_deref(), Some("3"));
    let refused = ask(&front, "small").await;
    assert_eq!(refused.headers()["x-should-retry"], "false");
    assert_eq!(left(&refused, "characters").as_deref(), Some("3"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["error"]["type"], &body["error"]["error_code"]),
        (&json!("insufficient_quota"), &json!("QuotaExceeded"))
    );
    let free = ask(&front, "free").await;
    assert_eq!((free.status().as_u16(), left(&free, "characters")), (200, None));
}

#[tokio::test]
async fn what_is_not_spoken_costs_no_characters() {
    let front = with_keys(quota(None, Some(8)), &[("one", standard())]).await;
    front.pods("main", &[failing(ErrorCode::UnknownVoice).await]);
    for _ in 0..3 {
        let declined = ask(&front, "one").await;
        assert_eq!((declined.status().as_u16(), left(&declined, "characters").as_deref()), (400, Some("8")));
    }
    front.pods("main", &[]);
    let nobody = ask(&front, "one").await;
    assert_eq!((nobody.status().as_u16(), left(&nobody, "characters").as_deref()), (503, Some("8")));
}

#[tokio::test]
async fn a_tier_without_keys_has_one_quota_for_all() {
    let mut table = table();
    table.tiers[0].quota = quota(Some(1), None);
    let front = Front::start(table).await;
    front.pods("main", &[speaking(b"audio").await]);
    assert_eq!(front.speak(&hello()).await.status(), 200);
    assert_eq!(front.speak(&hello()).await.status(), 429);
}

#[tokio::test]
async fn the_gateways_of_a_fleet_count_as_one() {
    let gateways = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];
    let mut fronts = Vec::new();
    let mut port = 0;
    for ip in gateways {
        let front = with_keys(quota(None, Some(12)), &[("one", standard())]).await;
        front.pods("main", &[speaking(b"audio").await]);
        front.gateway.usage.set_gateways(gateways.map(IpAddr::from).into());
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        port = listener.local_addr().unwrap().port();
        let usage = routes(Arc::clone(&front.gateway));
        tokio::spawn(async move { axum::serve(listener, usage).await });
        tokio::spawn(exchange(Arc::clone(&front.gateway), port));
        fronts.push(front);
    }
    assert_eq!(ask(&fronts[0], "one").await.status(), 200);
    let heard = async {
        // What fails is not counted, so that asking changes nothing.
        fronts[1].pods("main", &[failing(ErrorCode::UnknownVoice).await]);
        while left(&ask(&fronts[1], "one").await, "characters").as_deref() != Some("7") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    fronts[1].pods("main", &[speaking(b"audio").await]);
    assert_eq!(ask(&fronts[1], "one").await.status(), 200);
    assert_eq!(code_of(ask(&fronts[1], "one").await).await, "QuotaExceeded");
}

/// A pod that says in the trailer how long its audio is.
async fn telling(milliseconds: u64) -> SocketAddr {
    let respond = move |(headers, _): (HeaderMap, Bytes)| async move {
        assert_eq!(headers["te"], "trailers");
        let name = HeaderName::from_static("x-tts-audio-ms");
        let trailer = HeaderMap::from_iter([(name, milliseconds.into())]);
        let frames = [Frame::data(Bytes::from_static(b"audio")), Frame::trailers(trailer)];
        let frames = frames.map(Ok::<_, std::convert::Infallible>);
        let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
        response.headers_mut().insert("trailer", HeaderValue::from_static("x-tts-audio-ms"));
        response
    };
    pod(respond).await.0
}

#[tokio::test]
async fn what_the_holder_of_a_named_key_has_had_is_counted() {
    let named = Key { name: Some("acme".to_owned()), ..standard() };
    let front = with_keys(Quota::default(), &[("one", named), ("two", standard())]).await;
    front.pods("main", &[telling(1500).await]);
    for key in ["one", "one", "two"] {
        assert_eq!(ask(&front, key).await.bytes().await.unwrap(), "audio");
    }
    front.pods("main", &[]);
    ask(&front, "one").await;
    let labels = r#"{tier="standard",key="acme"}"#;
    let text = front.gateway.metrics_text().unwrap();
    let expected = [
        ("requests", "3".to_owned()),
        ("characters", (2 * CHARS).to_string()),
        ("audio_seconds", "3.0".to_owned()),
    ];
    for (name, value) in expected {
        let line = format!("ttsfleet_gateway_key_{name}_total{labels} {value}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    assert_eq!(
        text.matches("ttsfleet_gateway_key_requests_total{").count(),
        1,
        "keys without a name have no series"
    );
}
