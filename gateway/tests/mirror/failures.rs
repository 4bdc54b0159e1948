//! Who has failed, and who only by the mirror's own bounds.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use futures::{StreamExt, stream};
use rstest::rstest;
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{Audio, Pair, Side},
    route::MirrorRoute,
};

use crate::{
    support::{audio, error, failing, hanging, pod, speaking},
    trial::{Trial, breaking_off, hello, mirror, model},
};

#[tokio::test]
async fn a_candidate_that_is_late_has_failed() {
    let (main, _) = model("sha256:a", b"stable").await;
    let begins = || stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(stream::pending());
    let (stalls, _) = pod(move |_| async move { audio(begins()) }).await;
    for candidate in [hanging().await, stalls] {
        let mut trial = Trial::start(MirrorRoute { timeout_ms: 200, ..mirror() }, main, candidate).await;
        trial.call_until("judged").await;
        let failed = Side::Failed { code: "UpstreamTimeout".to_owned() };
        assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
    }
}

#[rstest]
#[case(ErrorCode::InferenceFailed)]
#[case(ErrorCode::UnknownVoice)]
#[tokio::test]
async fn a_candidate_that_fails_or_declines_is_told_of_with_the_code(#[case] code: ErrorCode) {
    let (main, _) = model("sha256:a", b"stable").await;
    let mut trial = Trial::start(mirror(), main, failing(code).await).await;
    trial.call_until("judged").await;
    let failed = Side::Failed { code: code.entry().code.to_owned() };
    assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
}

#[tokio::test]
async fn a_candidate_that_breaks_off_or_never_ends_has_failed() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (breaks, _) = pod(|_| async { audio(breaking_off()) }).await;
    let endless = || stream::repeat_with(|| Ok(Bytes::from_static(&[0; 4096])));
    let (goes_on, _) = pod(move |_| async move { audio(endless()) }).await;
    for (candidate, code) in [(breaks, "UpstreamFailed"), (goes_on, "AudioTooLong")] {
        let mut trial = Trial::start(mirror(), main, candidate).await;
        trial.call_until("judged").await;
        let failed = Side::Failed { code: code.to_owned() };
        assert_eq!(trial.pairs.recv().await.unwrap().candidate, failed);
    }
}

#[tokio::test]
async fn a_candidate_that_is_away_or_full_says_nothing_of_its_model() {
    let (main, _) = model("sha256:a", b"stable").await;
    let away = {
        // A port that was free a moment ago.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let full = failing(ErrorCode::TooManyRequests).await;
    for (candidate, outcome) in [(away, "candidate-away"), (full, "candidate-busy")] {
        let mut trial = Trial::start(mirror(), main, candidate).await;
        trial.call_until(outcome).await;
        assert!(trial.pairs.try_recv().is_err());
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_passed_on_and_not_copied() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    // The stable model may have half of it, which is five bytes.
    let trial = Trial::start(MirrorRoute { max_bytes: 11, ..mirror() }, main, candidate).await;
    assert_eq!(trial.front.speak(&hello()).await.bytes().await.unwrap(), "stable");
    trial.until("too-long", 1).await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_that_took_more_than_half_of_the_candidates_time_is_not_copied() {
    let (main, _) = pod(|_| async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        audio(stream::iter([Ok(Bytes::from_static(b"stable"))]))
    })
    .await;
    let (candidate, calls) = model("sha256:b", b"candidate").await;
    let trial = Trial::start(MirrorRoute { timeout_ms: 100, ..mirror() }, main, candidate).await;
    trial.call_until("too-long").await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_candidate_may_be_twice_as_long_as_the_stable_model_and_no_longer() {
    let (main, _) = model("sha256:a", b"stable").await;
    let (twice, _) = model("sha256:b", b"twice stable").await;
    let (longer, _) = model("sha256:b", b"longer stable").await;
    for (candidate, spoken) in [(twice, true), (longer, false)] {
        let mut trial = Trial::start(MirrorRoute { max_bytes: 12, ..mirror() }, main, candidate).await;
        trial.call_until("judged").await;
        let candidate = trial.pairs.recv().await.unwrap().candidate;
        assert_eq!(matches!(candidate, Side::Audio { .. }), spoken, "{candidate:?}");
    }
}

/// Whether the pair is one in which the stable model failed so and the
/// candidate spoke.
fn only_the_stable_model_failed(pair: &Pair, code: &str) -> bool {
    let failed = Side::Failed { code: code.to_owned() };
    let spoke =
        |side: &Side| matches!(side, Side::Audio { audio: Audio(bytes), .. } if bytes == b"candidate");
    pair.baseline == failed && spoke(&pair.candidate)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_of_the_stable_model() {
    let (main, _) = pod(|_| async { audio(breaking_off()) }).await;
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let mut trial = Trial::start(mirror(), main, candidate).await;
    let call = async || assert!(trial.front.speak(&hello()).await.bytes().await.is_err());
    trial.repeat_until("judged", call).await;
    let pair = trial.pairs.recv().await.unwrap();
    assert!(only_the_stable_model_failed(&pair, "UpstreamFailed"), "{pair:?}");
}

/// A pod whose first call fails; the next ones are answered.
async fn failing_once() -> SocketAddr {
    let failed = Arc::new(AtomicBool::new(false));
    let respond = move |_| {
        let first = !failed.swap(true, Ordering::SeqCst);
        async move {
            if first {
                return error(ErrorCode::InferenceFailed);
            }
            audio(stream::iter([Ok(Bytes::from_static(b"much longer than copied"))]))
        }
    };
    pod(respond).await.0
}

#[tokio::test]
async fn a_failure_that_another_attempt_made_up_for_is_the_stable_models_all_the_same() {
    let (candidate, _) = model("sha256:b", b"candidate").await;
    let main = failing_once().await;
    // What the answer's audio is like does not matter then.
    let mut trial = Trial::start(MirrorRoute { max_bytes: 9, ..mirror() }, main, candidate).await;
    trial.call().await;
    trial.until("judged", 1).await;
    let pair = trial.pairs.recv().await.unwrap();
    assert!(only_the_stable_model_failed(&pair, "InferenceFailed"), "{pair:?}");

    // Nor does it matter that the backup made up for it.
    let mut trial = Trial::start(mirror(), failing(ErrorCode::InferenceFailed).await, candidate).await;
    trial.front.pods("backup", &[speaking(b"audio").await]);
    trial.call().await;
    trial.until("judged", 1).await;
    let pair = trial.pairs.recv().await.unwrap();
    assert!(only_the_stable_model_failed(&pair, "InferenceFailed"), "{pair:?}");
}
