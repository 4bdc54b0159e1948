//! A web server that answers as it is told, and a store to fetch into.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
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
use futures::{StreamExt, stream};
use tempfile::TempDir;
use ttsfleet_inference::source::{LoadError, Patience, Sources, SourcesConfig, StageProgress};
use ttsfleet_models::{FileEntry, MANIFEST_NAME, Manifest, ModelFolder, sha256_hex};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

/// How the test's server answers one path.
#[derive(Clone)]
pub(crate) enum Reply {
    Bytes(Vec<u8>),
    Status(u16),
    /// Sends a part and breaks off.
    CutShort(Vec<u8>),
    /// Sends a part and then nothing.
    Hangs(Vec<u8>),
    /// Sends the rest from where it was asked for, as a part of 10 bytes.
    Rest(Vec<u8>),
    /// Puts a file of that many bytes somewhere, and then sends bytes.
    Fills(PathBuf, usize, Vec<u8>),
    Redirect(String),
    Endless,
}

/// Replies in turn; the last one stays.
pub(crate) type Script = Arc<Mutex<HashMap<String, Vec<Reply>>>>;

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) script: Script,
    pub(crate) asked: Asked,
    pub(crate) store: TempDir,
}

/// Paths asked for, with where in the file if not from its beginning.
pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

impl Host {
    /// A server with a model of two files.
    pub(crate) async fn start() -> Self {
        let script = Script::default();
        let asked = Asked::default();
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

    pub(crate) fn set(&self, path: &str, replies: Vec<Reply>) {
        self.script.lock().unwrap().insert(format!("/m/{path}"), replies);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) async fn fetch(&self, digest: Option<String>) -> Result<ModelFolder, LoadError> {
        self.fetch_from(format!("http://{}/m/", self.address), digest).await
    }

    pub(crate) async fn fetch_from(
        &self,
        uri: String,
        digest: Option<String>,
    ) -> Result<ModelFolder, LoadError> {
        self.stage(self.store.path(), uri, digest, &StageProgress::default()).await
    }

    pub(crate) async fn stage(
        &self,
        store: &Path,
        uri: String,
        digest: Option<String>,
        progress: &StageProgress,
    ) -> Result<ModelFolder, LoadError> {
        let sources = Sources::new(SourcesConfig {
            store: Some(store.to_owned()),
            patience: Patience {
                attempts: 4,
                first_pause: Duration::from_millis(1),
                overall: Duration::from_secs(10),
            },
            ..SourcesConfig::default()
        });
        sources.stage(&record(uri, digest), progress).await
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}/m", self.address)
    }

    /// What lies in the store, apart from the lock.
    pub(crate) fn stored(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.store.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }
}

pub(crate) fn record(uri: String, digest: Option<String>) -> ModelRecord {
    let source = Some(ModelSource { uri, digest, secret: None });
    ModelRecord { source, ..ModelRecord::default() }
}

pub(crate) const WEIGHTS: &[u8] = b"0123456789";
pub(crate) const WORDS: &[u8] = b"hello";

pub(crate) async fn reply(State((script, asked)): State<(Script, Asked)>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let range = request.headers().get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
    asked.lock().unwrap().push(range.iter().fold(path.clone(), |path, range| format!("{path} {range}")));
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
            // What was said before is sent while the stream waits.
            let end = async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("broken off"))
            };
            let pieces = stream::iter([Ok(Bytes::from(bytes))]).chain(stream::once(end));
            ([(header::CONTENT_LENGTH, "10")], Body::from_stream(pieces)).into_response()
        }
        Some(Reply::Hangs(bytes)) => {
            let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]).chain(stream::pending());
            Body::from_stream(pieces).into_response()
        }
        Some(Reply::Rest(bytes)) => {
            let from = range.unwrap().replace("bytes=", "").replace('-', "");
            let part = format!("bytes {from}-9/10");
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, part)], bytes).into_response()
        }
        Some(Reply::Fills(path, size, bytes)) => {
            // As much as there is room for.
            _ = std::fs::write(path, vec![0; size]);
            bytes.into_response()
        }
        Some(Reply::Endless) => {
            let piece = Bytes::from(vec![b'x'; 1 << 16]);
            Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone())))
                .into_response()
        }
    }
}

pub(crate) fn entry(path: &str, content: &[u8]) -> FileEntry {
    FileEntry { path: path.into(), size: content.len() as u64, sha256: sha256_hex(content) }
}

pub(crate) fn entries() -> Vec<FileEntry> {
    vec![entry("weights.bin", WEIGHTS), entry("tables/words.txt", WORDS)]
}

pub(crate) fn manifest(files: &[FileEntry]) -> Vec<u8> {
    let manifest = Manifest {
        family: "tones".into(),
        name: "tones".into(),
        version: "1".into(),
        sample_rate: 24_000,
        languages: vec!["en-US".into()],
        voices: vec!["low".into()],
        licence: "Apache-2.0".into(),
        files: files.to_vec(),
    };
    serde_json::to_vec(&manifest).unwrap()
}

pub(crate) fn digest() -> String {
    format!("sha256:{}", sha256_hex(&manifest(&entries())))
}
