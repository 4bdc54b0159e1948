//! What orders do that come again, or while another model is on its way.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::Ordering::SeqCst;

use common::{
    RATE, Running, get, limits, occupy,
    orders::{rests, serves, serving, swap, tell},
    say, start_with, status, until, write_tones,
};
use serde_json::json;
use ttsfleet_wire::{admin::Step, model::ModelRecord};

async fn start() -> Running {
    start_with(limits(), json!({"pitch": 220.0, "seconds": 0.2}), |_| {}).await
}

/// Writes a model, perhaps with a fault.
fn model(server: &Running, version: &str, fault: &str) -> ModelRecord {
    let tone = json!({"pitch": 330.0, "seconds": 0.2, "fault": fault});
    write_tones(&server.folder.path().join(format!("{version}-{fault}")), version, RATE, tone)
}

async fn loads(server: &Running) {
    let loading = async || status(server).await.task.is_some_and(|task| task.step == Step::Loading);
    until("it loads", loading).await;
}

#[tokio::test]
async fn a_revert_that_loads_goes_back_once() {
    let server = start().await;
    swap(&server, &model(&server, "2", "none"), "DrainFirst").await;
    serves(&server, "2").await;
    assert_eq!(tell(&server, "revert").await, 202);
    serves(&server, "1").await;
    rests(&server).await;
    for _ in 0..2 {
        assert_eq!(tell(&server, "revert").await, 200, "it has been gone back to");
    }
    let status = status(&server).await;
    assert_eq!((status.task, status.swaps), (None, 2));
    assert_eq!(serving(&server).await, "1");
}

#[tokio::test]
async fn a_revert_sent_again_while_it_loads_loads_nothing_twice() {
    let server = start().await;
    server.seen.released.store(true, SeqCst);
    for (version, fault) in [("2", "hang-at-load"), ("3", "none")] {
        swap(&server, &model(&server, version, fault), "DrainFirst").await;
        serves(&server, version).await;
        rests(&server).await;
    }
    server.seen.released.store(false, SeqCst);
    assert_eq!(tell(&server, "revert").await, 202);
    loads(&server).await;
    assert_eq!(tell(&server, "revert").await, 202);
    server.seen.released.store(true, SeqCst);
    serves(&server, "2").await;
    rests(&server).await;
    assert_eq!((serving(&server).await.as_str(), status(&server).await.swaps), ("2", 3));
}

#[tokio::test]
async fn a_swap_that_fails_brings_the_model_back_whatever_came_meanwhile() {
    let server = start().await;
    for verb in ["free", "revert"] {
        server.seen.released.store(false, SeqCst);
        swap(&server, &model(&server, "2", "refused-late"), "DrainFirst").await;
        loads(&server).await;
        assert!([200, 202].contains(&tell(&server, verb).await), "{verb}");
        server.seen.released.store(true, SeqCst);
        serves(&server, "1").await;
        rests(&server).await;
        let status = status(&server).await;
        assert!(status.error.unwrap().message.contains("refused on purpose"), "{verb}");
        assert_eq!((serving(&server).await.as_str(), status.swaps), ("1", 0), "{verb}");
    }
    assert_eq!(say(server.speech, json!({"input": "hi"})).await.status, 200);
    assert_eq!(get(server.health, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_third_model_waits_until_the_first_is_left_or_another_order_comes() {
    let server = start().await;
    let (two, three) = (model(&server, "2", "none"), model(&server, "3", "none"));
    let busy = occupy(&server).await;
    swap(&server, &two, "Overlap").await;
    serves(&server, "2").await;
    rests(&server).await;
    // The second time, it is not the one kept any more.
    for _ in 0..2 {
        swap(&server, &three, "Overlap").await;
        until("it waits", async || {
            let status = status(&server).await;
            status.previous.is_none() && status.task.is_some() && status.staged.contains(&three)
        })
        .await;
        assert_eq!(status(&server).await.task.unwrap().step, Step::Staging, "somebody listens to the first");
        assert_eq!(swap(&server, &two, "Overlap").await, 200, "it is served");
        rests(&server).await;
        assert_eq!((serving(&server).await.as_str(), status(&server).await.swaps), ("2", 1));
    }
    drop(busy);
    swap(&server, &three, "Overlap").await;
    serves(&server, "3").await;
}

#[tokio::test]
async fn a_third_model_waits_until_a_freed_one_is_left() {
    let server = start().await;
    let busy = occupy(&server).await;
    swap(&server, &model(&server, "2", "none"), "Overlap").await;
    serves(&server, "2").await;
    assert_eq!(tell(&server, "free").await, 202);
    let three = model(&server, "3", "none");
    swap(&server, &three, "Overlap").await;
    until("it is staged", async || status(&server).await.staged.contains(&three)).await;
    let status = status(&server).await;
    assert_eq!(status.task.unwrap().step, Step::Staging);
    assert_eq!(status.previous.unwrap().version, "1", "somebody listens to it");
    drop(busy);
    serves(&server, "3").await;
}
