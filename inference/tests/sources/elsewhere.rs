//! A registry whose blobs lie on a server that asks for credentials.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use rstest::rstest;
use serde_json::json;
use ttsfleet_models::sha256_hex;

use crate::depot::{
    Model, Pod,
    servers::{PASSWORD, USER, serve},
};

/// What was asked for, and what was shown.
type Asked = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// Wants everyone's login, at an address of its own.
async fn greedy(State((scheme, asked)): State<(String, Asked)>, request: Request) -> Response {
    let host = request.headers()[header::HOST].to_str().unwrap();
    let challenge = format!("{scheme} realm=\"http://{host}/token\"");
    asked.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

#[rstest]
#[case::for_a_token("Bearer")]
#[case::for_a_password("Basic")]
#[tokio::test]
async fn a_login_is_shown_to_its_registry_alone(#[case] scheme: &str) {
    let (model, pod, asked) = (Model::new(), Pod::new(), Asked::default());
    let state = (scheme.to_owned(), Arc::clone(&asked));
    let other = serve(Router::new().fallback(greedy).with_state(state)).await;
    let blob = format!("http://localhost:{}/blob?signature=hush", other.port());
    let layer = json!({
        "digest": model.digest(), "annotations": {"org.opencontainers.image.title": "model.json"},
    });
    let manifest = json!({"schemaVersion": 2, "layers": [layer]}).to_string();
    let digest = format!("sha256:{}", sha256_hex(manifest.as_bytes()));
    let routes = Router::new()
        .route("/v2/tones/manifests/{digest}", get(move || async move { manifest }))
        .route("/v2/tones/blobs/{digest}", get(move || async move { Redirect::temporary(&blob) }));
    let uri = format!("oci://{}/tones@{digest}", serve(routes).await);
    pod.secret("login", &[("username", USER), ("password", PASSWORD)]);
    let error = pod.stage(&model.at(uri, Some("login"))).await.unwrap_err();
    assert!(error.to_string().contains("401 Unauthorized") && !error.is_transient(), "{error}");
    let asked = asked.lock().unwrap();
    let [(address, headers)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(address, "/blob?signature=hush");
    for credential in [header::AUTHORIZATION, header::REFERER] {
        assert!(!headers.contains_key(&credential), "{credential}");
    }
}
