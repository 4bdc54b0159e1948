//! What stays in a server's store while models come and go.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use axum::{Router, extract, http::StatusCode, routing::get};
use common::{
    RATE, Running, limits, manifest,
    orders::{rests, serves, serving, stage, swap, tell},
    start_with, status, until, write_tones,
};
use rstest::rstest;
use serde_json::json;
use tempfile::TempDir;
use ttsfleet_inference::source::{Sources, SourcesConfig};
use ttsfleet_models::{FileEntry, Manifest, sha256_hex};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

const WEIGHTS: usize = 1_000_000;
/// Room for two models, and for what has to stay free besides.
const ROOM: u64 = 3_200_000;

/// A server, and a host that its models come from.
struct Depot {
    server: Running,
    host: SocketAddr,
    /// Set while the host has nothing to give.
    away: Arc<AtomicBool>,
    files: TempDir,
    store: TempDir,
}

impl Depot {
    async fn open(room: Option<u64>) -> Self {
        let (files, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let away = Arc::<AtomicBool>::default();
        let host = serve(files.path().to_owned(), Arc::clone(&away)).await;
        let config = SourcesConfig {
            store: Some(store.path().to_owned()),
            store_bytes: room,
            ..SourcesConfig::default()
        };
        let tone = json!({"pitch": 220.0, "seconds": 0.2});
        let server = start_with(limits(), tone, |models| models.sources = Sources::new(config)).await;
        Self { server, host, away, files, store }
    }

    /// Puts a model where the server can fetch it.
    fn model(&self, version: &str) -> ModelRecord {
        let folder = self.files.path().join(version);
        let tone = json!({"pitch": 330.0, "seconds": 0.2}).to_string();
        let contents = [("tone.json", tone.into_bytes()), ("weights.bin", vec![b'w'; WEIGHTS])];
        let entry = |(path, bytes): &(&str, Vec<u8>)| FileEntry {
            path: (*path).to_owned(),
            size: bytes.len() as u64,
            sha256: sha256_hex(bytes),
        };
        let files = contents.iter().map(entry).collect();
        let manifest = serde_json::to_vec(&Manifest { files, ..manifest(version, RATE) }).unwrap();
        fs::create_dir_all(&folder).unwrap();
        for (path, bytes) in &contents {
            fs::write(folder.join(path), bytes).unwrap();
        }
        fs::write(folder.join("model.json"), &manifest).unwrap();
        let digest = Some(format!("sha256:{}", sha256_hex(&manifest)));
        let source = ModelSource { uri: format!("http://{}/{version}", self.host), digest, secret: None };
        ModelRecord { name: "tones".into(), version: version.into(), source: Some(source) }
    }

    /// Waits until just these models are in the store.
    async fn holds(&self, models: &[&ModelRecord]) {
        let digest = |model: &&ModelRecord| model.source.clone().unwrap().digest.unwrap();
        let names = models.iter().map(digest).map(|digest| digest.trim_start_matches("sha256:").to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        until("the store holds just these", async || self.stored() == names).await;
    }

    fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".lock").collect();
        names.sort();
        names
    }
}

async fn serve(files: PathBuf, away: Arc<AtomicBool>) -> SocketAddr {
    let give = move |extract::Path(path): extract::Path<String>| {
        let found = if away.load(SeqCst) { None } else { fs::read(files.join(path)).ok() };
        async move { found.ok_or(StatusCode::SERVICE_UNAVAILABLE) }
    };
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let routes = Router::new().route("/{*path}", get(give));
    tokio::spawn(async { axum::serve(socket, routes).await });
    address
}

#[rstest]
#[case::that_is_loaded_again("DrainFirst", None)]
#[case::that_is_loaded_again_where_there_is_room_for_two("DrainFirst", Some(ROOM))]
#[case::that_is_in_memory("Overlap", None)]
#[tokio::test]
async fn only_the_model_served_and_the_one_before_stay(#[case] headroom: &str, #[case] room: Option<u64>) {
    let depot = Depot::open(room).await;
    let [two, three, four] = ["2", "3", "4"].map(|version| depot.model(version));
    for (now, kept) in [(&two, vec![&two]), (&three, vec![&two, &three]), (&four, vec![&three, &four])] {
        assert_eq!(swap(&depot.server, now, headroom).await, 202);
        serves(&depot.server, &now.version).await;
        depot.holds(&kept).await;
    }
    assert_eq!(status(&depot.server).await.error, None);
}

#[tokio::test]
async fn a_model_that_has_been_gone_back_to_stays_alone() {
    let depot = Depot::open(None).await;
    let [two, three] = ["2", "3"].map(|version| depot.model(version));
    for model in [&two, &three] {
        swap(&depot.server, model, "DrainFirst").await;
        serves(&depot.server, &model.version).await;
    }
    depot.away.store(true, SeqCst);
    assert_eq!(tell(&depot.server, "revert").await, 202, "the store has it");
    serves(&depot.server, "2").await;
    depot.holds(&[&two]).await;
}

#[tokio::test]
async fn a_candidate_stays_until_it_is_told_to_go() {
    let depot = Depot::open(None).await;
    let [two, three] = ["2", "3"].map(|version| depot.model(version));
    assert_eq!(stage(&depot.server, &three).await, 202);
    until("it is staged", async || status(&depot.server).await.staged.contains(&three)).await;
    swap(&depot.server, &two, "Overlap").await;
    serves(&depot.server, "2").await;
    rests(&depot.server).await;
    assert_eq!(tell(&depot.server, "free").await, 202);
    until("it is freed", async || status(&depot.server).await.previous.is_none()).await;
    depot.holds(&[&two, &three]).await;
    assert_eq!(stage(&depot.server, &three).await, 200);
    assert_eq!(tell(&depot.server, "free").await, 200);
    depot.holds(&[&two]).await;
    assert_eq!(status(&depot.server).await.staged, [two]);
}

#[tokio::test]
async fn what_a_failure_brings_back_is_not_asked_for_at_its_source() {
    let depot = Depot::open(None).await;
    let mut two = depot.model("2");
    two.source.as_mut().unwrap().digest = None;
    swap(&depot.server, &two, "DrainFirst").await;
    serves(&depot.server, "2").await;
    rests(&depot.server).await;
    depot.away.store(true, SeqCst);
    let tone = json!({"pitch": 330.0, "seconds": 0.2, "fault": "refused-at-load"});
    let bad = write_tones(&depot.files.path().join("bad"), "3", RATE, tone);
    swap(&depot.server, &bad, "DrainFirst").await;
    until("it is reported", async || status(&depot.server).await.error.is_some()).await;
    rests(&depot.server).await;
    assert_eq!(serving(&depot.server).await, "2");
    assert_eq!(status(&depot.server).await.serving.unwrap().record, two, "as it was asked for");
}
