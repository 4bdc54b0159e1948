//! Models from every kind of source, mostly from real servers of that kind.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod depot;
mod elsewhere;
mod program;
mod secure;

use std::{
    os::unix::fs::symlink,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::SeqCst},
};

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use depot::{
    Model, Pod, file,
    line::{End, Line},
    servers::{Door, PASSWORD, Server, USER, free, push, serve},
};
use serde_json::json;
use ttsfleet_inference::source::StageProgress;
use ttsfleet_wire::model::ModelRecord;

/// What a fetch may cost besides the model's bytes: headers, and manifests.
const BESIDES: u64 = 64 << 10;

/// Fetches a model over a line that breaks half-way, and again from the store.
async fn comes_over(line: &Line, pod: &Pod, model: &Model, record: &ModelRecord) {
    let before = line.sent();
    line.break_after(model.size() / 2);
    let progress = StageProgress::default();
    let folder = pod.sources().stage(record, &progress).await.unwrap();
    assert_eq!(folder.bytes("weights.bin").unwrap(), model.find("weights.bin").unwrap());
    assert_eq!(folder.digest(), model.digest());
    assert_eq!(line.breaks(), 1, "it was cut half-way");
    let sent = line.sent() - before;
    assert!(sent < model.size() + BESIDES, "{sent} bytes for a model of {}", model.size());
    assert_eq!(progress.trouble(), None);
    assert_eq!(pod.stored(), [model.name()]);
    let sent = line.sent();
    pod.stage(record).await.unwrap();
    assert_eq!(line.sent(), sent, "what is in the store is not fetched");
}

#[tokio::test]
async fn from_s3() {
    let (model, pod) = (Model::new(), Pod::new());
    let server = Server::s3(&model);
    let line = Line::to(server.address, End::Cut).await;
    let endpoint = format!("http://{}", line.address);
    let keys = |secret| {
        [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", USER),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ]
    };
    pod.secret("s3", &keys(PASSWORD));
    pod.secret("wrong", &keys("another-password"));
    pod.secret("nobody", &keys("")[..1]);
    comes_over(&line, &pod, &model, &model.at("s3://voices/a/tones/", Some("s3"))).await;
    let pod = Pod { folder: pod.folder };
    let empty = pod.sources_in(pod.folder.path().join("another"));
    for secret in ["wrong", "nobody"] {
        let record = model.at("s3://voices/a/tones", Some(secret));
        let error = empty.stage(&record, &StageProgress::default()).await.unwrap_err().to_string();
        assert!(error.contains("s3://voices/a/tones/model.json: the server answered 403"), "{error}");
        assert!(error.contains("source.secretRef"), "{error}");
    }
    let record = model.at("s3://voices/b", Some("s3"));
    let error = empty.stage(&record, &StageProgress::default()).await.unwrap_err();
    assert!(error.to_string().contains("404 Not Found") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn from_google_cloud_storage() {
    let (model, pod, address) = (Model::new(), Pod::new(), free());
    let line = Line::to(address, End::Cut).await;
    let _server = Server::gcs(&model, address, line.address);
    pod.secret("gs", &[("GOOGLE_BASE_URL", &format!("http://{}", line.address)), ("token", "any")]);
    comes_over(&line, &pod, &model, &model.at("gs://voices/a/tones", Some("gs"))).await;
}

/// Gives the model as Azure Blob Storage does, to whoever signs.
async fn azure(State(model): State<Arc<Model>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let signed = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !signed.is_some_and(|value| value.starts_with("SharedKey shop:"))
        || !headers.contains_key("x-ms-version")
    {
        return StatusCode::FORBIDDEN.into_response();
    }
    let name = path.strip_prefix("voices/a/tones/").unwrap_or_default();
    let Some(bytes) = model.find(name) else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = file(bytes, &headers);
    for (name, value) in [("etag", "\"1\""), ("last-modified", "Tue, 24 Nov 2026 00:00:00 GMT")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[tokio::test]
async fn from_azure_blob_storage() {
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let server = serve(Router::new().route("/{*path}", get(azure)).with_state(Arc::clone(&model))).await;
    let line = Line::to(server, End::Cut).await;
    let endpoint = format!("http://{}", line.address);
    let account = [("AZURE_STORAGE_ENDPOINT", endpoint.as_str()), ("AZURE_STORAGE_ACCOUNT_NAME", "shop")];
    pod.secret("nobody", &account);
    pod.secret("az", &[&account[..], &[("AZURE_STORAGE_ACCOUNT_KEY", "c3dvcmRmaXNo")]].concat());
    let error = pod.stage(&model.at("az://voices/a/tones", Some("nobody"))).await.unwrap_err().to_string();
    assert!(error.contains("403 Forbidden"), "{error}");
    comes_over(&line, &pod, &model, &model.at("az://voices/a/tones", Some("az"))).await;
    let staged = pod.stage(&model.at("az://voices/a/tones", Some("none"))).await;
    assert!(staged.is_ok(), "what is in the store needs no credentials");
    let error = Pod::new().stage(&model.at("az://voices/a/tones", None)).await.unwrap_err().to_string();
    assert!(error.contains("the source's settings cannot be used"), "{error}");
}

/// A hub that keeps small files itself, and sends clients elsewhere for large ones.
#[derive(Clone)]
struct Hub {
    model: Arc<Model>,
    /// Where the large ones lie.
    elsewhere: String,
    /// What was shown there.
    shown: Arc<Mutex<Vec<HeaderMap>>>,
}

async fn hub(State(hub): State<Hub>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if token != Some(b"Bearer hub-token") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let name = path.strip_prefix("me/voice/resolve/v1/a/tones/").unwrap_or_default();
    match hub.model.find(name) {
        Some(bytes) if bytes.len() > 1 << 20 => {
            Redirect::temporary(&format!("{}/{name}", hub.elsewhere)).into_response()
        }
        Some(bytes) => file(bytes, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn large(State(hub): State<Hub>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    hub.shown.lock().unwrap().push(headers.clone());
    hub.model.find(&name).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |bytes| file(bytes, &headers))
}

#[tokio::test]
async fn from_a_hub_whose_large_files_lie_elsewhere() {
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let mut state = Hub { model: Arc::clone(&model), elsewhere: String::new(), shown: Arc::default() };
    let store = serve(Router::new().route("/{*name}", get(large)).with_state(state.clone())).await;
    let line = Line::to(store, End::Cut).await;
    state.elsewhere = format!("http://localhost:{}", line.address.port());
    let address = serve(Router::new().route("/{*path}", get(hub)).with_state(state.clone())).await;
    let endpoint = format!("http://{address}");
    pod.secret("hub", &[("HF_ENDPOINT", &endpoint), ("token", "hub-token")]);
    pod.secret("nobody", &[("HF_ENDPOINT", &endpoint)]);
    let error =
        pod.stage(&model.at("hf://me/voice@v1/a/tones", Some("nobody"))).await.unwrap_err().to_string();
    assert!(error.contains("hf://me/voice@v1/a/tones/model.json: the server answered 401"), "{error}");
    comes_over(&line, &pod, &model, &model.at("hf://me/voice@v1/a/tones", Some("hub"))).await;
    let shown = state.shown.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(shown.len() == 2 && shown[1].contains_key(header::RANGE));
    assert!(
        shown.iter().all(|headers| !headers.contains_key(header::AUTHORIZATION)),
        "the token stays there"
    );
}

fn without_digest(record: ModelRecord) -> ModelRecord {
    let mut record = record;
    record.source.as_mut().unwrap().digest = None;
    record
}

#[tokio::test]
async fn from_a_registry() {
    let (model, pod) = (Model::new(), Pod::new());
    let server = Server::registry(&Door::Open);
    let digest = push(server.address, "voices/tones", &model).await;
    let line = Line::to(server.address, End::Cut).await;
    let uri = format!("oci://{}/voices/tones@{digest}", line.address);
    comes_over(&line, &pod, &model, &model.at(uri.clone(), None)).await;
    // The artifact's digest pins the model as well.
    let pod = Pod::new();
    let folder = pod.stage(&without_digest(model.at(uri.clone(), None))).await.unwrap();
    assert_eq!(folder.digest(), model.digest());
    let missing = uri.replace(&digest, &format!("sha256:{}", "0".repeat(64)));
    let error = Pod::new().stage(&model.at(missing, None)).await.unwrap_err().to_string();
    assert!(error.contains("the artifact's manifest: the server answered 404"), "{error}");
}

#[tokio::test]
async fn a_registry_is_not_believed() {
    let (mut model, pod) = (Model::new(), Pod::new());
    let another = serve(Router::new().fallback(async || "{}")).await;
    let uri = format!("oci://{another}/tones@sha256:{}", "0".repeat(64));
    let error = pod.stage(&without_digest(model.at(uri, None))).await.unwrap_err().to_string();
    assert!(error.contains("the artifact's manifest has the digest sha256:44136fa3"), "{error}");
    // An artifact whose weights are not those of its model.json.
    model.files[0].1[0] ^= 1;
    let server = Server::registry(&Door::Open);
    let digest = push(server.address, "tones", &model).await;
    let (uri, progress) = (format!("oci://{}/tones@{digest}", server.address), StageProgress::default());
    let error = pod.sources().stage(&model.at(uri, None), &progress).await.unwrap_err().to_string();
    assert!(error.contains("weights.bin differs from model.json: sha256"), "{error}");
    assert_eq!(progress.done.load(SeqCst), 0, "nothing of it is taken");
    assert!(pod.stored().is_empty());
}

#[tokio::test]
async fn from_a_registry_with_passwords() {
    let (model, pod) = (Model::new(), Pod::new());
    let server = Server::registry(&Door::Password);
    let digest = push(server.address, "tones", &model).await;
    let uri = format!("oci://{}/tones@{digest}", server.address);
    let pull = json!({"auths": {server.address.to_string(): {"username": USER, "password": PASSWORD}}});
    pod.secret("pull", &[(".dockerconfigjson", &pull.to_string())]);
    pod.secret("wrong", &[("username", USER), ("password", "another-password")]);
    for secret in [None, Some("wrong")] {
        let error = pod.stage(&model.at(uri.clone(), secret)).await.unwrap_err();
        assert!(error.to_string().contains("401 Unauthorized") && !error.is_transient(), "{error}");
    }
    pod.stage(&model.at(uri, Some("pull"))).await.unwrap();
}

/// Gives tokens for one repository to one user.
async fn token(RawQuery(asked): RawQuery, headers: HeaderMap) -> Response {
    let basic = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if basic != Some(b"Basic dm9pY2UtcmVhZGVyOnN3b3JkZmlzaA==") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(asked.as_deref(), Some("service=voices&scope=repository%3Aa%2Ftones%3Apull"));
    Json(json!({"token": "short-lived"})).into_response()
}

#[tokio::test]
async fn from_a_registry_that_sends_one_for_a_token() {
    let (model, pod) = (Model::new(), Pod::new());
    let realm = format!("http://{}/token", serve(Router::new().route("/token", get(token))).await);
    let server = Server::registry(&Door::Token(realm));
    let digest = push(server.address, "a/tones", &model).await;
    let line = Line::to(server.address, End::Cut).await;
    let uri = format!("oci://{}/a/tones@{digest}", line.address);
    pod.secret("login", &[("username", USER), ("password", PASSWORD)]);
    let error = pod.stage(&model.at(uri.clone(), None)).await.unwrap_err().to_string();
    assert!(error.contains("no token for the registry: the server answered 401"), "{error}");
    comes_over(&line, &pod, &model, &model.at(uri, Some("login"))).await;
}

#[tokio::test]
async fn from_a_web_server_with_a_token() {
    async fn guarded(
        State(model): State<Arc<Model>>,
        Path(path): Path<String>,
        headers: HeaderMap,
    ) -> Response {
        let token = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
        match (token, model.find(&path)) {
            (Some(b"Bearer web-token"), Some(bytes)) => file(bytes, &headers),
            _ => StatusCode::FORBIDDEN.into_response(),
        }
    }
    let (model, pod) = (Arc::new(Model::new()), Pod::new());
    let server = serve(Router::new().route("/{*path}", get(guarded)).with_state(Arc::clone(&model))).await;
    let line = Line::to(server, End::Cut).await;
    pod.secret("web", &[("token", "web-token\n")]);
    let uri = format!("http://{}", line.address);
    let error = pod.stage(&model.at(uri.clone(), None)).await.unwrap_err().to_string();
    assert!(error.contains("403 Forbidden; look at the Secret"), "{error}");
    comes_over(&line, &pod, &model, &model.at(uri, Some("web"))).await;
}

#[tokio::test]
async fn from_a_claim_where_it_lies() {
    let (model, pod) = (Model::new(), Pod::new());
    let claim = pod.claim("voices");
    model.write_to(&claim.join("a/tones"));
    let stage = async |uri: &str| pod.stage(&model.at(uri, None)).await;
    stage("pvc://voices/a/tones").await.unwrap();
    assert!(pod.stored().is_empty(), "nothing is copied");
    symlink("tones", claim.join("a/newest")).unwrap();
    stage("pvc://voices/a/newest/").await.unwrap();

    let outside = tempfile::tempdir().unwrap();
    model.write_to(outside.path());
    symlink(outside.path(), claim.join("outside")).unwrap();
    model.write_to(&claim.join("mixed"));
    std::fs::remove_file(claim.join("mixed/weights.bin")).unwrap();
    symlink(outside.path().join("weights.bin"), claim.join("mixed/weights.bin")).unwrap();
    for (uri, hint) in [
        ("pvc://voices/outside", "leads out of it"),
        ("pvc://voices/mixed", ""),
        ("pvc://voices/../voices/a/tones", "without . or .."),
        ("pvc://../voices/a/tones", "without . or .."),
        ("pvc://none/a/tones", "\"none\": it is not mounted"),
        ("pvc://voices/b", "No such file"),
    ] {
        let error = stage(uri).await.unwrap_err();
        assert!(error.to_string().contains(hint) && !error.is_transient(), "{uri}: {error}");
    }
}

/// Everything that is logged, at every level.
fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Writer(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Writer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Arc::<Mutex<Vec<u8>>>::default();
    let writer = Arc::clone(&lines);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Writer(Arc::clone(&writer)))
        .finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn credentials_are_in_no_message_and_no_log() {
    /// Repeats what it was sent, as careless servers do.
    async fn echo(headers: HeaderMap) -> Response {
        let said = format!("{:?}", headers.get(header::AUTHORIZATION));
        (StatusCode::BAD_REQUEST, [(header::WWW_AUTHENTICATE, "Basic realm=x")], said).into_response()
    }
    let (lines, _guard) = log();
    let (model, pod) = (Model::new(), Pod::new());
    let address = serve(Router::new().fallback(echo)).await;
    let endpoint = format!("http://{address}");
    let digest = model.digest();
    let artifact = format!("oci://{address}/tones@{digest}");
    let secrets = ["hush-key-1", "aHVzaC1rZXktMg==", "hush-key-3", "hush-key-4"];
    pod.secret(
        "all",
        &[
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ACCESS_KEY_ID", USER),
            ("AWS_SECRET_ACCESS_KEY", secrets[0]),
            ("AZURE_STORAGE_ENDPOINT", &endpoint),
            ("AZURE_STORAGE_ACCOUNT_NAME", "shop"),
            ("AZURE_STORAGE_ACCOUNT_KEY", secrets[1]),
            ("GOOGLE_BASE_URL", &endpoint),
            ("HF_ENDPOINT", &endpoint),
            ("token", secrets[2]),
            ("username", USER),
            ("password", secrets[3]),
        ],
    );
    pod.secret("broken", &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\"private_key\": \"hush-key-5\"")]);
    let web = format!("{endpoint}/tones");
    let mut messages = Vec::new();
    for uri in [&web, "s3://voices/a", "gs://voices/a", "az://voices/a", "hf://me/voice@v1", &artifact] {
        let error = pod.stage(&model.at(uri, Some("all"))).await.unwrap_err();
        assert!(error.to_string().contains("the server answered 400"), "{uri}: {error}");
        messages.push(format!("{error} {error:?}"));
    }
    let error = pod.stage(&model.at("gs://voices/a", Some("broken"))).await.unwrap_err();
    messages.push(format!("{error} {error:?}"));
    let said = messages.concat() + &String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert!(said.contains("the source's settings cannot be used"), "{messages:?}");
    for secret in secrets.iter().chain(&["hush-key-5", "hush"]) {
        assert!(!said.contains(secret), "{secret}");
    }
}
