//! Fetching a model from a server that is slow, wrong or hostile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use futures::stream;
use tempfile::TempDir;
use ttsfleet_inference::source::{LoadError, Patience, Source, open};
use ttsfleet_models::{FileEntry, MANIFEST_NAME, Manifest, ModelFolder, sha256_hex};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

/// How the test's server answers one path.
#[derive(Clone)]
enum Reply {
    Bytes(Vec<u8>),
    Status(u16),
    /// Sends a part and breaks off.
    CutShort(Vec<u8>),
    Redirect(String),
    Endless,
}

/// Replies in turn; the last one stays.
type Script = Arc<Mutex<HashMap<String, Vec<Reply>>>>;

struct Host {
    address: SocketAddr,
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
    store: TempDir,
}

impl Host {
    /// A server with a model of two files.
    async fn start() -> Self {
        let script = Script::default();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let routes = Router::new().fallback(reply).with_state((Arc::clone(&script), Arc::clone(&asked)));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async { axum::serve(socket, routes).await });
        let host = Self { address, script, asked, store: tempfile::tempdir().unwrap() };
        host.set("weights.bin", vec![Reply::Bytes(WEIGHTS.to_vec())]);
        host.set("tables/words.txt", vec![Reply::Bytes(WORDS.to_vec())]);
        host.set(MANIFEST_NAME, vec![Reply::Bytes(manifest(&entries()))]);
        host
    }

    fn set(&self, path: &str, replies: Vec<Reply>) {
        self.script.lock().unwrap().insert(format!("/m/{path}"), replies);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn fetch(&self, digest: Option<String>) -> Result<ModelFolder, LoadError> {
        self.fetch_from(format!("http://{}/m/", self.address), digest).await
    }

    async fn fetch_from(&self, uri: String, digest: Option<String>) -> Result<ModelFolder, LoadError> {
        open(&Source {
            record: ModelRecord {
                name: String::new(),
                version: String::new(),
                source: Some(ModelSource { uri, digest, secret: None }),
            },
            store: Some(self.store.path().to_owned()),
            patience: Patience {
                attempts: 4,
                first_pause: Duration::from_millis(1),
                overall: Duration::from_secs(10),
            },
        })
        .await
    }

    /// What lies in the store, apart from the lock.
    fn stored(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.store.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }
}

const WEIGHTS: &[u8] = b"0123456789";
const WORDS: &[u8] = b"hello";

async fn reply(
    State((script, asked)): State<(Script, Arc<Mutex<Vec<String>>>)>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    asked.lock().unwrap().push(path.clone());
    let reply = script
        .lock()
        .unwrap()
        .get_mut(&path)
        .map(|replies| if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() });
    match reply {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Reply::Bytes(bytes)) => bytes.into_response(),
        Some(Reply::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Reply::Redirect(to)) => Redirect::temporary(&to).into_response(),
        Some(Reply::CutShort(bytes)) => {
            let pieces = [Ok(Bytes::from(bytes)), Err(std::io::Error::other("broken off"))];
            ([(header::CONTENT_LENGTH, "10")], Body::from_stream(stream::iter(pieces))).into_response()
        }
        Some(Reply::Endless) => {
            let piece = Bytes::from(vec![b'x'; 1 << 16]);
            Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())))
                .into_response()
        }
    }
}

fn entry(path: &str, content: &[u8]) -> FileEntry {
    FileEntry { path: path.into(), size: content.len() as u64, sha256: sha256_hex(content) }
}

fn entries() -> Vec<FileEntry> {
    vec![entry("weights.bin", WEIGHTS), entry("tables/words.txt", WORDS)]
}

fn manifest(files: &[FileEntry]) -> Vec<u8> {
    let tones = common::Tones::new().manifest;
    serde_json::to_vec(&Manifest { files: files.to_vec(), ..tones }).unwrap()
}

fn digest() -> String {
    format!("sha256:{}", sha256_hex(&manifest(&entries())))
}

#[tokio::test]
async fn a_model_is_fetched_once_and_then_found_in_the_store() {
    let host = Host::start().await;
    let folder = host.fetch(Some(digest())).await.unwrap();
    assert_eq!(folder.bytes("tables/words.txt").unwrap(), WORDS);
    assert_eq!(folder.digest(), digest());
    let asked = host.asked().len();
    host.fetch(Some(digest())).await.unwrap();
    assert_eq!(host.asked().len(), asked, "nothing is asked for again");
    host.fetch(None).await.unwrap();
    assert_eq!(host.asked().len(), asked + 1, "without a pinned digest only the manifest is");
}

#[tokio::test]
async fn a_stored_model_that_was_altered_is_fetched_anew() {
    let host = Host::start().await;
    host.fetch(None).await.unwrap();
    let path = host.store.path().join(digest().trim_start_matches("sha256:")).join("weights.bin");
    std::fs::write(&path, b"012345678X").unwrap();
    let folder = host.fetch(Some(digest())).await.unwrap();
    assert_eq!(folder.bytes("weights.bin").unwrap(), WEIGHTS);
    assert_eq!(std::fs::read(path).unwrap(), WEIGHTS);
}

#[tokio::test]
async fn what_an_earlier_server_left_unfinished_is_removed() {
    let host = Host::start().await;
    let left = host.store.path().join(".incoming-old");
    std::fs::create_dir_all(left.join("tables")).unwrap();
    host.fetch(None).await.unwrap();
    assert_eq!(host.stored(), [digest().trim_start_matches("sha256:")]);
}

#[tokio::test]
async fn passing_trouble_is_tried_again() {
    let host = Host::start().await;
    let good = Reply::Bytes(WEIGHTS.to_vec());
    host.set(
        "weights.bin",
        vec![Reply::Status(503), Reply::CutShort(b"0123".to_vec()), Reply::Status(429), good],
    );
    host.set(MANIFEST_NAME, vec![Reply::Status(500), Reply::Bytes(manifest(&entries()))]);
    assert_eq!(host.fetch(None).await.unwrap().bytes("weights.bin").unwrap(), WEIGHTS);
}

#[tokio::test]
async fn lasting_trouble_is_reported_with_address_and_status() {
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::Status(503)]);
    let error = host.fetch(None).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cannot fetch http://{}/m/weights.bin: the server answered 503 Service Unavailable",
            host.address
        )
    );
    assert_eq!(host.asked().iter().filter(|path| path.ends_with("weights.bin")).count(), 4);
    assert!(host.stored().is_empty(), "{:?}", host.stored());
}

#[tokio::test]
async fn a_model_that_is_not_there_is_not_asked_for_again() {
    let host = Host::start().await;
    host.set(MANIFEST_NAME, vec![Reply::Status(404)]);
    let error = host.fetch(None).await.unwrap_err().to_string();
    assert!(error.contains("404 Not Found"), "{error}");
    assert_eq!(host.asked(), ["/m/model.json"]);
}

#[tokio::test]
async fn another_model_than_the_pinned_one_is_refused_before_its_files_are_fetched() {
    let host = Host::start().await;
    let pinned = format!("sha256:{}", "0".repeat(64));
    let error = host.fetch(Some(pinned.clone())).await.unwrap_err().to_string();
    assert_eq!(error, format!("the model's digest is {}, but {pinned} is pinned", digest()));
    assert_eq!(host.asked(), ["/m/model.json"]);
}

#[tokio::test]
async fn files_that_differ_from_the_manifest_are_refused() {
    for (content, hint) in [(&b"012345678X"[..], "sha256"), (b"0123456789A", "more than its 10 bytes")] {
        let host = Host::start().await;
        host.set("weights.bin", vec![Reply::Bytes(content.to_vec())]);
        let error = host.fetch(None).await.unwrap_err().to_string();
        assert!(error.contains("weights.bin differs") && error.contains(hint), "{error}");
        assert!(host.stored().is_empty());
    }
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::Bytes(b"012".to_vec())]);
    let error = host.fetch(None).await.unwrap_err().to_string();
    assert!(error.contains("3 bytes came instead of 10"), "{error}");
}

#[tokio::test]
async fn endless_files_are_cut_off() {
    for path in [MANIFEST_NAME, "weights.bin"] {
        let host = Host::start().await;
        host.set(path, vec![Reply::Endless]);
        let error = host.fetch(None).await.unwrap_err().to_string();
        assert!(error.contains("larger than 1048576") || error.contains("more than its 10"), "{error}");
        assert!(host.stored().is_empty());
    }
}

#[tokio::test]
async fn a_manifest_that_leaves_its_folder_is_refused() {
    for path in ["../outside", "/etc/outside", "a/../../outside", "model.json"] {
        let host = Host::start().await;
        host.set(MANIFEST_NAME, vec![Reply::Bytes(manifest(&[entry(path, WORDS)]))]);
        let error = host.fetch(None).await.unwrap_err().to_string();
        assert!(error.contains("not a plain path"), "{error}");
        assert!(host.stored().is_empty() && host.asked().len() == 1);
    }
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::Redirect("/m/elsewhere".into())]);
    host.set("elsewhere", vec![Reply::Bytes(WEIGHTS.to_vec())]);
    host.fetch(None).await.unwrap();
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::Redirect("/m/weights.bin".into())]);
    let error = host.fetch(None).await.unwrap_err().to_string();
    assert!(error.contains("too many redirects"), "{error}");
    assert_eq!(host.asked().len(), 7, "a refused redirect is not tried again");
}

#[tokio::test]
async fn a_folder_on_this_machine_is_read_where_it_lies() {
    let host = Host::start().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write("weights.bin", WEIGHTS);
    write("tables/words.txt", WORDS);
    write(MANIFEST_NAME, &manifest(&entries()));
    let uri = |path: &Path| format!("file://{}", path.display());
    host.fetch_from(uri(folder.path()), Some(digest())).await.unwrap();
    let wrong = host.fetch_from(uri(folder.path()), Some("sha256:00".into())).await.unwrap_err();
    assert!(wrong.to_string().contains("is pinned"), "{wrong}");
    let missing = host.fetch_from(uri(&folder.path().join("none")), None).await.unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
}

#[tokio::test]
async fn other_addresses_are_refused_without_showing_them() {
    let host = Host::start().await;
    let error = host.fetch_from("s3://key:secret@bucket/m".into(), None).await.unwrap_err().to_string();
    assert!(error.contains("s3://…") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_named() {
    let host = Host::start().await;
    let file = host.store.path().join("file");
    std::fs::write(&file, "").unwrap();
    let source = Source {
        record: ModelRecord {
            name: String::new(),
            version: String::new(),
            source: Some(ModelSource {
                uri: format!("http://{}/m", host.address),
                digest: None,
                secret: None,
            }),
        },
        store: Some(file.clone()),
        patience: Patience::default(),
    };
    let error = open(&source).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot write the model store") && error.contains(file.to_str().unwrap()),
        "{error}"
    );
}
