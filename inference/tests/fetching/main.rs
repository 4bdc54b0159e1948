//! Fetching a model from a server that is slow, wrong or hostile.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod disk;
mod host;
mod resume;

use std::path::Path;

use host::{Host, Reply, WEIGHTS, WORDS, digest, entries, entry, manifest};
use ttsfleet_inference::source::StageProgress;
use ttsfleet_models::MANIFEST_NAME;

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
    for left in [".incoming-old".to_owned(), format!(".partial-{}", "0".repeat(64))] {
        std::fs::create_dir_all(host.store.path().join(left).join("tables")).unwrap();
    }
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
    let progress = StageProgress::default();
    let error = host.stage(&file, host.uri(), None, &progress).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot write the model store") && error.contains(file.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn a_manifest_at_odds_with_itself_leaves_nothing_in_the_store() {
    for (path, content) in
        [("weights.bin", &b"012345678X"[..]), ("weights.bin/more", WEIGHTS), ("model.json/a", WORDS)]
    {
        let host = Host::start().await;
        let odd = manifest(&[entry("weights.bin", WEIGHTS), entry(path, content)]);
        host.set(MANIFEST_NAME, vec![Reply::Bytes(odd.clone())]);
        host.set(path, vec![Reply::Bytes(content.to_vec())]);
        host.set("weights.bin", vec![Reply::Bytes(WEIGHTS.to_vec()), Reply::Bytes(content.to_vec())]);
        let pinned = format!("sha256:{}", ttsfleet_models::sha256_hex(&odd));
        let error = host.fetch(Some(pinned)).await.unwrap_err();
        assert!(!error.is_transient(), "{error}");
        assert!(host.stored().is_empty(), "{path}: {:?}", host.stored());
    }
}
