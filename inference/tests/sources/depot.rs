//! A model folder, the places it is fetched from, and a line to them that
//! breaks when it is told to. All of it on loopback.

pub(crate) mod line;
pub(crate) mod servers;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tempfile::TempDir;
use ttsfleet_inference::source::{LoadError, Patience, Sources, SourcesConfig, StageProgress};
use ttsfleet_models::{FileEntry, MANIFEST_NAME, Manifest, ModelFolder, sha256_hex};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

/// Large enough to be on its way for several reads, small enough for a test.
const WEIGHTS_BYTES: usize = 3 << 20;

/// A model folder: weights, and a table in a folder of its own.
pub(crate) struct Model {
    /// `model.json` comes last.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let weights = (0..WEIGHTS_BYTES).map(|_| byte()).collect();
        let mut files = vec![
            ("weights.bin".to_owned(), weights),
            ("tables/some words.txt".to_owned(), b"hello\n".to_vec()),
        ];
        let entry = |(path, bytes): &(String, Vec<u8>)| FileEntry {
            path: path.clone(),
            size: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        };
        let manifest = Manifest {
            family: "tones".into(),
            name: "tones".into(),
            version: "1".into(),
            sample_rate: 24_000,
            languages: vec!["en-US".into()],
            voices: vec!["low".into()],
            licence: "Apache-2.0".into(),
            files: files.iter().map(entry).collect(),
        };
        files.push((MANIFEST_NAME.to_owned(), serde_json::to_vec(&manifest).unwrap()));
        Self { files }
    }

    pub(crate) fn write_to(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<&[u8]> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, bytes)| bytes.as_slice())
    }

    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", sha256_hex(self.find(MANIFEST_NAME).unwrap()))
    }

    /// The folder's name in a store.
    pub(crate) fn name(&self) -> String {
        self.digest().trim_start_matches("sha256:").to_owned()
    }

    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes.len() as u64).sum()
    }

    /// The model at an address, its digest pinned.
    pub(crate) fn at(&self, uri: impl Into<String>, secret: Option<&str>) -> ModelRecord {
        let source =
            ModelSource { uri: uri.into(), digest: Some(self.digest()), secret: secret.map(str::to_owned) };
        ModelRecord { name: "tones".into(), version: "1".into(), source: Some(source) }
    }
}

/// A pod's folders.
pub(crate) struct Pod {
    pub(crate) folder: TempDir,
}

impl Pod {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Mounts a Secret.
    pub(crate) fn secret(&self, name: &str, values: &[(&str, &str)]) {
        let folder = self.folder.path().join("secrets").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (key, value) in values {
            fs::write(folder.join(key), value).unwrap();
        }
    }

    /// Mounts a claim.
    pub(crate) fn claim(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join("claims").join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// As a server that has just started has them.
    pub(crate) fn sources(&self) -> Sources {
        self.sources_in(self.store())
    }

    pub(crate) fn sources_in(&self, store: PathBuf) -> Sources {
        Sources::new(SourcesConfig {
            store: Some(store),
            store_bytes: None,
            secrets: Some(self.folder.path().join("secrets")),
            claims: Some(self.folder.path().join("claims")),
            patience: Patience {
                attempts: 4,
                first_pause: Duration::from_millis(5),
                overall: Duration::from_secs(60),
            },
        })
    }

    pub(crate) async fn stage(&self, record: &ModelRecord) -> Result<ModelFolder, LoadError> {
        self.sources().stage(record, &StageProgress::default()).await
    }

    /// What lies in the store, apart from the lock.
    pub(crate) fn stored(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.store()) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock").collect()
    }
}

/// A file as web servers give it, whole or from where it was asked for.
pub(crate) fn file(bytes: &[u8], headers: &HeaderMap) -> Response {
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let total = bytes.len();
    let from: usize = from.unwrap_or(0);
    let mut response = Body::from(bytes[from.min(total)..].to_vec()).into_response();
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let part = format!("bytes {from}-{}/{total}", total - 1);
        response.headers_mut().insert(header::CONTENT_RANGE, HeaderValue::from_str(&part).unwrap());
    }
    response
}
