//! How quickly models are staged, beside a plain copy of the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use ttsfleet_models::{FileEntry, Manifest, sha256_hex};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use crate::load::percentile;
use crate::server::{Server, write_voice};

const ROUNDS: usize = 5;
const SIZE: usize = 256 << 20;

/// Medians, in MiB a second.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Staging {
    mib: usize,
    /// `cp`, then `sha256sum` of the copy.
    copied: f64,
    /// The same, and the copy written to the disk.
    copied_and_synced: f64,
    /// Staged from a folder on this machine.
    from_file: f64,
    /// Staged over HTTP from this machine into the store.
    from_http: f64,
}

impl Staging {
    pub(crate) fn print(&self) {
        println!("\nstaging {} MiB, MiB/s", self.mib);
        for (name, speed) in [
            ("cp + sha256sum", self.copied),
            ("cp + sync + sha256sum", self.copied_and_synced),
            ("a folder, in place", self.from_file),
            ("HTTP into the store", self.from_http),
        ] {
            println!("{name:<34}{speed:>10.0}{:>10.2}", speed / self.copied);
        }
    }
}

pub(crate) async fn measure(binary: &Path) -> Result<Staging> {
    let folder = tempfile::tempdir()?;
    let voice = write_voice(&folder.path().join("voice"), "1")?;
    let server = Server::start(binary, folder.path(), &voice).await?;
    let weights = noise();
    let original = folder.path().join("weights.bin");
    fs::write(&original, &weights)?;
    let entry = FileEntry { path: "weights.bin".to_owned(), size: SIZE as u64, sha256: sha256_hex(&weights) };
    let host = host(weights, entry.clone()).await?;
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        println!("  staging, round {} of {ROUNDS}", round + 1);
        let place = folder.path().join(format!("folder-{round}"));
        fs::create_dir(&place)?;
        fs::copy(&original, place.join("weights.bin"))?;
        // The digests of both differ, so that neither is found in the store.
        let (on_disk, on_host) = (format!("disk-{round}"), format!("host-{round}"));
        fs::write(place.join("model.json"), manifest(&on_disk, &entry))?;
        times[0].push(copy(&original, &place, false)?);
        times[1].push(copy(&original, &place, true)?);
        times[2].push(server.stage(&record(&on_disk, format!("file://{}", place.display()))).await?);
        times[3].push(server.stage(&record(&on_host, format!("http://{host}/{on_host}"))).await?);
        fs::remove_dir_all(&place)?;
    }
    let mib = SIZE >> 20;
    let speed = |times: &mut Vec<Duration>| mib as f64 / percentile(times, 50.0).as_secs_f64();
    let [copied, copied_and_synced, from_file, from_http] = &mut times;
    Ok(Staging {
        mib,
        copied: speed(copied),
        copied_and_synced: speed(copied_and_synced),
        from_file: speed(from_file),
        from_http: speed(from_http),
    })
}

/// Bytes that do not repeat for long.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..SIZE / 8).flat_map(next).collect()
}

fn copy(original: &Path, place: &Path, sync: bool) -> Result<Duration> {
    let target = place.join("copy");
    let begun = Instant::now();
    let run = |program: &str, arguments: &[&Path]| -> Result<()> {
        ensure!(Command::new(program).args(arguments).output()?.status.success(), "{program} failed");
        Ok(())
    };
    run("cp", &[original, &target])?;
    if sync {
        run("sync", &[&target])?;
    }
    run("sha256sum", &[&target])?;
    let elapsed = begun.elapsed();
    fs::remove_file(&target)?;
    Ok(elapsed)
}

fn manifest(version: &str, entry: &FileEntry) -> Vec<u8> {
    let manifest = Manifest {
        family: "none".to_owned(),
        name: "bytes".to_owned(),
        version: version.to_owned(),
        sample_rate: 24_000,
        languages: vec![],
        voices: vec![],
        licence: String::new(),
        files: vec![entry.clone()],
    };
    serde_json::to_vec(&manifest).unwrap()
}

fn record(version: &str, uri: String) -> ModelRecord {
    let source = ModelSource { uri, digest: None, secret: None };
    ModelRecord { name: "bytes".to_owned(), version: version.to_owned(), source: Some(source) }
}

/// Hosts the file at any path, and the manifest of the version that the path
/// names.
async fn host(weights: Vec<u8>, entry: FileEntry) -> Result<std::net::SocketAddr> {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let routes = Router::new().fallback(answer).with_state((Bytes::from(weights), entry));
    tokio::spawn(async { axum::serve(socket, routes).await });
    Ok(address)
}

async fn answer(State((weights, entry)): State<(Bytes, FileEntry)>, uri: Uri) -> Response {
    match uri.path().trim_start_matches('/').split_once('/') {
        Some((version, "model.json")) => manifest(version, &entry).into_response(),
        Some((_, "weights.bin")) => weights.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
