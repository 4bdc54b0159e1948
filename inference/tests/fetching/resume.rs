//! Going on where a fetch broke off.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use axum::Router;
use ttsfleet_inference::source::{Patience, Sources, SourcesConfig, StageProgress};
use ttsfleet_wire::model::ModelRecord;

use crate::host::{Host, Reply, WEIGHTS, digest, record, reply};

#[tokio::test]
async fn a_file_that_broke_off_is_gone_on_with() {
    let host = Host::start().await;
    host.set(
        "weights.bin",
        vec![
            Reply::CutShort(b"0123".to_vec()),
            Reply::Status(503),
            Reply::Rest(b"456".to_vec()),
            Reply::Rest(b"789".to_vec()),
        ],
    );
    let progress = StageProgress::default();
    let folder = host.stage(host.store.path(), host.uri(), None, &progress).await.unwrap();
    assert_eq!(folder.bytes("weights.bin").unwrap(), WEIGHTS);
    let asked = ["", " bytes=4-", " bytes=4-", " bytes=7-"].map(|range| format!("/m/weights.bin{range}"));
    assert_eq!(host.asked()[1..5], asked);
    assert_eq!((progress.done.load(SeqCst), progress.total.load(SeqCst)), (15, 15));
    assert_eq!(progress.trouble(), None);
}

#[tokio::test]
async fn attempts_are_counted_anew_when_bytes_come() {
    let host = Host::start().await;
    let mut replies = vec![Reply::CutShort(b"0".to_vec())];
    for byte in 1..9 {
        replies.extend([Reply::Status(503), Reply::Status(503), Reply::Rest(vec![b'0' + byte])]);
    }
    replies.push(Reply::Rest(b"9".to_vec()));
    host.set("weights.bin", replies);
    assert_eq!(host.fetch(None).await.unwrap().bytes("weights.bin").unwrap(), WEIGHTS);
}

#[tokio::test]
async fn a_pinned_model_is_gone_on_with_by_the_next_server() {
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::CutShort(b"012345".to_vec()), Reply::Status(503)]);
    let progress = StageProgress::default();
    let staged = host.stage(host.store.path(), host.uri(), Some(digest()), &progress).await;
    assert!(staged.unwrap_err().is_transient());
    assert!(progress.trouble().unwrap().contains("503"), "{progress:?}");
    assert_eq!((progress.done.load(SeqCst), progress.total.load(SeqCst)), (6, 15));
    host.set("weights.bin", vec![Reply::Rest(b"6789".to_vec())]);
    let folder = host.fetch(Some(digest())).await.unwrap();
    assert_eq!(folder.bytes("weights.bin").unwrap(), WEIGHTS);
    assert!(host.asked().contains(&"/m/weights.bin bytes=6-".to_owned()), "{:?}", host.asked());
    assert_eq!(host.stored(), [digest().trim_start_matches("sha256:")]);
}

#[tokio::test]
async fn what_was_left_and_does_not_fit_is_fetched_anew() {
    for left in [&b"01234X"[..], b"X123456789", b"0123456789ABC"] {
        let host = Host::start().await;
        let partial = host.store.path().join(digest().replace("sha256:", ".partial-"));
        std::fs::create_dir_all(&partial).unwrap();
        std::fs::write(partial.join("weights.bin"), left).unwrap();
        host.set("weights.bin", vec![Reply::Bytes(WEIGHTS.to_vec())]);
        if left.len() < 10 {
            host.set("weights.bin", vec![Reply::Rest(b"6789".to_vec()), Reply::Bytes(WEIGHTS.to_vec())]);
        }
        assert_eq!(host.fetch(Some(digest())).await.unwrap().bytes("weights.bin").unwrap(), WEIGHTS);
    }
}

#[tokio::test]
async fn a_server_that_gives_only_whole_files_is_taken_as_it_is() {
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::CutShort(b"0123".to_vec()), Reply::Bytes(WEIGHTS.to_vec())]);
    assert_eq!(host.fetch(None).await.unwrap().bytes("weights.bin").unwrap(), WEIGHTS);
}

#[tokio::test]
async fn altered_bytes_leave_nothing_to_go_on_with() {
    let host = Host::start().await;
    host.set("weights.bin", vec![Reply::Bytes(b"012345678X".to_vec())]);
    let error = host.fetch(Some(digest())).await.unwrap_err();
    assert!(error.to_string().contains("weights.bin differs") && !error.is_transient(), "{error}");
    assert!(host.stored().is_empty(), "{:?}", host.stored());
}

#[tokio::test]
async fn a_source_that_comes_back_is_waited_for() {
    let host = Host::start().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sources = Sources::new(SourcesConfig {
        store: Some(host.store.path().to_owned()),
        patience: Patience {
            attempts: 60,
            first_pause: Duration::from_millis(20),
            overall: Duration::from_secs(60),
        },
        ..SourcesConfig::default()
    });
    let progress = StageProgress::default();
    let record = record(format!("http://{address}/m"), Some(digest()));
    let back = async {
        while progress.trouble().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(progress.trouble().unwrap().contains("refused"), "{progress:?}");
        let routes = Router::new().fallback(reply);
        let routes = routes.with_state((Arc::clone(&host.script), Arc::clone(&host.asked)));
        let socket = tokio::net::TcpListener::bind(address).await.unwrap();
        tokio::spawn(async { axum::serve(socket, routes).await });
    };
    let (staged, ()) = tokio::join!(sources.stage(&record, &progress), back);
    staged.unwrap();
    assert_eq!(progress.trouble(), None);
    assert_eq!(sources.staged(), [record]);
}

#[tokio::test]
async fn models_are_forgotten_but_for_those_named() {
    let host = Host::start().await;
    let sources =
        Sources::new(SourcesConfig { store: Some(host.store.path().to_owned()), ..SourcesConfig::default() });
    let built_in = ModelRecord::default();
    let fetched = record(host.uri(), Some(digest()));
    for record in [&built_in, &fetched, &built_in] {
        sources.stage(record, &StageProgress::default()).await.unwrap();
    }
    assert_eq!(sources.staged(), [fetched.clone(), built_in]);
    sources.forget_all_but(&[digest()]);
    assert_eq!(sources.staged(), [fetched]);
    assert_eq!(host.stored().len(), 1);
    std::fs::write(host.store.path().join("notes"), "not ours").unwrap();
    sources.forget_all_but(&[]);
    assert!(sources.staged().is_empty());
    assert_eq!(host.stored(), ["notes"]);
}

#[tokio::test]
async fn a_fetch_that_is_called_off_or_takes_too_long_leaves_only_what_can_be_gone_on_with() {
    for pinned in [None, Some(digest())] {
        let host = Host::start().await;
        host.set("weights.bin", vec![Reply::Hangs(b"0123".to_vec())]);
        let sources = Sources::new(SourcesConfig {
            store: Some(host.store.path().to_owned()),
            patience: Patience { overall: Duration::from_millis(300), ..Patience::default() },
            ..SourcesConfig::default()
        });
        let (record, progress) = (record(host.uri(), pinned.clone()), StageProgress::default());
        let left = if pinned.is_some() { vec![digest().replace("sha256:", ".partial-")] } else { vec![] };
        let error = sources.stage(&record, &progress).await.unwrap_err();
        assert!(error.to_string().ends_with("it took longer than 0.3 s") && error.is_transient(), "{error}");
        assert_eq!(host.stored(), left);
        tokio::select! {
            biased;
            staged = sources.stage(&record, &progress) => panic!("{staged:?}"),
            () = async { while host.asked().len() < 4 { tokio::task::yield_now().await } } => {}
        }
        assert_eq!(host.stored(), left);
    }
}
