//! A store on a disk that is too small.

use std::{path::Path, process::Command};

use tempfile::TempDir;
use ttsfleet_inference::source::{Sources, SourcesConfig, StageProgress};
use ttsfleet_models::{FileEntry, MANIFEST_NAME, sha256_hex};

use crate::host::{Host, Reply, WEIGHTS, WORDS, entry, manifest, record};

/// A file system of 3 MiB, where this process may mount one.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = ["-t", "tmpfs", "-o", "size=3m,nr_inodes=64", "small"];
        let mounted = Command::new("mount").args(options).arg(folder.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            _ => {
                eprintln!("skipped: mounting a file system needs root");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_model_that_does_not_fit_on_the_disk_is_refused_before_it_is_fetched() {
    let Some(small) = Small::mount() else { return };
    let (host, store) = (Host::start().await, small.0.path().join("store"));
    let entries = [FileEntry { size: 5_000_000, ..entry("weights.bin", WEIGHTS) }];
    host.set(MANIFEST_NAME, vec![Reply::Bytes(manifest(&entries))]);
    let error = host.stage(&store, host.uri(), None, &StageProgress::default()).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("no room for the model: 5000000 bytes more are needed"), "{message}");
    assert!(message.contains(store.to_str().unwrap()) && !error.is_transient(), "{message}");
    assert_eq!(host.asked(), ["/m/model.json"]);
    let huge = [FileEntry { size: u64::MAX, ..entry("a", WORDS) }, entry("b", WORDS)];
    host.set(MANIFEST_NAME, vec![Reply::Bytes(manifest(&huge))]);
    let error = host.stage(&store, host.uri(), None, &StageProgress::default()).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[tokio::test]
async fn a_model_that_would_take_more_than_the_store_may_hold_is_refused_beside_what_is_there() {
    let host = Host::start().await;
    let sources = Sources::new(SourcesConfig {
        store: Some(host.store.path().to_owned()),
        store_bytes: Some(3 << 20),
        ..SourcesConfig::default()
    });
    let stage = async |size: usize| {
        let weights = vec![b'w'; size];
        host.set(MANIFEST_NAME, vec![Reply::Bytes(manifest(&[entry("weights.bin", &weights)]))]);
        host.set("weights.bin", vec![Reply::Bytes(weights)]);
        sources.stage(&record(host.uri(), None), &StageProgress::default()).await
    };
    stage(1_500_000).await.unwrap();
    let message = stage(1_200_000).await.unwrap_err().to_string();
    assert!(message.contains("no room for the model: 1200000 bytes more are needed"), "{message}");
    sources.forget_all_but(&[]);
    stage(1_200_000).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fills_up_leaves_the_store_as_it_was() {
    let Some(small) = Small::mount() else { return };
    let (host, folder) = (Host::start().await, small.0.path());
    let store = folder.join("store");
    host.stage(&store, host.uri(), None, &StageProgress::default()).await.unwrap();
    // It needs less than is free, until something else takes what is free.
    let filled = vec![b'y'; 600_000];
    let pinned = manifest(&[entry("large.bin", &filled)]);
    let digest = format!("sha256:{}", sha256_hex(&pinned));
    host.set(MANIFEST_NAME, vec![Reply::Bytes(pinned)]);
    host.set("large.bin", vec![Reply::Fills(folder.join("other"), 4 << 20, filled)]);
    let staged = host.stage(&store, host.uri(), Some(digest), &StageProgress::default()).await;
    let error = staged.unwrap_err();
    assert!(error.to_string().contains("no room for the model"), "{error}");
    let names = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names(&store).filter(|name| name != ".lock").collect();
    assert_eq!(left.len(), 1, "the model that was there, and nothing else: {left:?}");
}
