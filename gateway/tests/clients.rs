//! What unmodified clients send and read: names, fields, lists, browsers' questions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::net::SocketAddr;

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
    response::Response,
};
use futures::stream;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Front, audio, client, code_of, pod, table};
use tokio::sync::mpsc;
use ttsfleet_wire::{
    names::Aliases,
    route::{ApiRules, RouteTable, TierFrom},
};

fn with(api: ApiRules) -> RouteTable {
    RouteTable { api, ..table() }
}

/// A fleet whose only pod speaks; and what that gets.
async fn speaking(table: RouteTable) -> (Front, mpsc::UnboundedReceiver<(HeaderMap, Value)>) {
    let (sender, got) = mpsc::unbounded_channel();
    let (address, _) = pod(move |(headers, body)| {
        sender.send((headers, serde_json::from_slice(&body).unwrap())).unwrap();
        async { audio(stream::iter([Ok(Bytes::from_static(b"audio"))])) }
    })
    .await;
    let front = Front::start(table).await;
    front.pods("main", &[address]);
    (front, got)
}

/// A pod that lists one model with one voice, and serves as both lists.
async fn listing() -> SocketAddr {
    let respond = |(headers, _): (HeaderMap, Bytes)| async move {
        assert_eq!(headers["x-tts-tier"], "standard", "or it would list its own further names");
        let model = json!({
            "id": "hibari", "object": "model", "created": 1, "owned_by": "ttsfleet", "version": "1",
            "digest": "sha256:00",
        });
        let voice = json!({"id": "heart", "name": "heart", "languages": ["en-US"], "sample_rate": 24000});
        let both = json!({"object": "list", "data": [model], "voices": [voice]});
        Response::new(Body::from(both.to_string()))
    };
    pod(respond).await.0
}

/// What the pod is told that the names mean.
fn meant(headers: &HeaderMap) -> [Option<&str>; 2] {
    ["x-tts-model-meant", "x-tts-voice-meant"].map(|name| headers.get(name)?.to_str().ok())
}

async fn get(front: &Front, path: &str) -> reqwest::Response {
    client().get(format!("{}{path}", front.url)).send().await.unwrap()
}

#[tokio::test]
async fn openais_names_reach_a_pod_with_what_they_mean() {
    let (front, mut got) = speaking(table()).await;
    let body = json!({"model": "tts-1", "voice": "alloy", "input": "Hello."});
    assert_eq!(front.speak(&body).await.status(), 200);
    let (headers, forwarded) = got.recv().await.unwrap();
    assert_eq!(meant(&headers), [Some("served"), Some("")]);
    assert_eq!(forwarded, body, "the model's own names come first, which the pod alone knows");

    front.speak(&json!({"model": "hibari", "voice": "heart", "input": "Hello."})).await;
    let (headers, _) = got.recv().await.unwrap();
    assert_eq!(meant(&headers), [None, None]);
}

#[tokio::test]
async fn an_operators_names_take_the_place_of_openais() {
    let voices = [("alloy".to_owned(), "heart".to_owned())].into();
    let aliases = Aliases { models: ["ours".to_owned()].into(), voices };
    let (front, mut got) = speaking(with(ApiRules { aliases, ..ApiRules::default() })).await;
    front.speak(&json!({"model": "ours", "voice": "alloy", "input": "Hello."})).await;
    let (headers, _) = got.recv().await.unwrap();
    assert_eq!(meant(&headers), [Some("served"), Some("heart")]);
    front.speak(&json!({"model": "tts-1", "voice": "echo", "input": "Hello."})).await;
    let (headers, _) = got.recv().await.unwrap();
    assert_eq!(meant(&headers), [None, None]);
}

#[tokio::test]
async fn fields_that_mean_nothing_here_are_named_and_where_all_is_strict_refused() {
    let body = json!({"input": "Hello.", "instructions": "Speak softly.", "stream": true, "user": "me"});
    let (front, _got) = speaking(table()).await;
    let response = front.speak(&body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-tts-ignored"], "instructions, stream, user");
    let plain = front.speak(&json!({"input": "Hello."})).await;
    assert!(!plain.headers().contains_key("x-tts-ignored"));

    let (front, _got) = speaking(with(ApiRules { strict: true, ..ApiRules::default() })).await;
    let refused = front.speak(&body).await;
    assert_eq!((refused.status().as_u16(), code_of(refused).await.as_str()), (400, "InvalidParameter"));
}

#[tokio::test]
async fn lists_have_the_shapes_that_clients_read_and_tell_further_names() {
    let front = Front::start(table()).await;
    front.pods("main", &[listing().await]);
    let voices: Value = get(&front, "/v1/audio/voices").await.json().await.unwrap();
    assert_eq!(
        (&voices["voices"][0]["name"], &voices["voices"][1]["alias_of"]),
        (&json!("heart"), &json!("heart"))
    );
    assert!(voices["voices"].as_array().unwrap().iter().any(|voice| voice["id"] == "alloy"));
    let models: Value = get(&front, "/v1/audio/models").await.json().await.unwrap();
    assert_eq!(models["models"][0], json!({"id": "hibari", "name": "hibari"}));
    for (path, id) in [("/v1/models/hibari", "hibari"), ("/v1/models/tts-1", "tts-1")] {
        let response = get(&front, path).await;
        assert_eq!(response.headers()["cache-control"], "no-cache");
        let model: Value = response.json().await.unwrap();
        assert_eq!((&model["id"], &model["version"]), (&json!(id), &json!("1")));
    }
    let unknown = get(&front, "/v1/models/nobody").await;
    assert_eq!((unknown.status().as_u16(), code_of(unknown).await.as_str()), (404, "ModelNotFound"));
    let head = client().head(format!("{}/v1/models", front.url)).send().await.unwrap();
    assert!(head.status().is_success() && head.headers()["content-length"] != "0", "{head:?}");
}

#[tokio::test]
async fn lists_need_no_key_where_the_fleet_says_so_and_speech_does() {
    let keyed = |public_lists| RouteTable {
        tier_from: TierFrom::ApiKey,
        ..with(ApiRules { public_lists, ..ApiRules::default() })
    };
    for (public, status) in [(false, 401), (true, 200)] {
        let front = Front::start(keyed(public)).await;
        front.pods("main", &[listing().await]);
        assert_eq!(get(&front, "/v1/audio/voices").await.status(), status);
        assert_eq!(front.speak(&json!({"input": "Hello."})).await.status(), 401);
    }
}

#[tokio::test]
async fn pages_of_the_origins_named_may_call() {
    let origins = vec!["https://app.example.com".to_owned()];
    let (front, _got) = speaking(with(ApiRules { origins, ..ApiRules::default() })).await;
    let ask = async |origin: &str| {
        let url = format!("{}/v1/audio/speech", front.url);
        let asked = client().request(Method::OPTIONS, url).header("origin", origin);
        let asked = asked.header("access-control-request-method", "POST");
        asked.header("access-control-request-headers", "authorization,content-type").send().await.unwrap()
    };
    let answer = ask("https://app.example.com").await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-headers"], "authorization,content-type");
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example.com");
    assert_eq!(answer.headers().get_all("vary").iter().count(), 1);
    assert!(!ask("https://evil.example.org").await.headers().contains_key("access-control-allow-origin"));

    let page = [("origin", "https://app.example.com")];
    let spoken = front.speak_with(&page, &json!({"input": "Hello."})).await;
    let refused = front.speak_with(&page, &json!({"input": 7})).await;
    for response in [spoken, refused] {
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "https://app.example.com", "errors are read, too");
        assert_eq!(headers["access-control-expose-headers"], "*");
    }
}

#[tokio::test]
async fn balancers_may_ask_the_port_of_the_traffic_and_are_no_requests() {
    let (front, _got) = speaking(table()).await;
    for path in ["/health", "/healthz", "/readyz"] {
        assert_eq!(get(&front, path).await.status(), 200);
    }
    front.gateway.drain();
    assert_eq!(get(&front, "/health").await.status(), 503);
    let metrics = front.gateway.metrics.encode().unwrap();
    assert!(!metrics.contains("requests_total{"), "{metrics}");
}
