//! The model is changed while the server serves: nothing is lost, nothing is
//! mixed, and whatever fails leaves things as they were.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{
    Answer, IN_FLIGHT, JSON, RATE, Running, TOKEN, admin, ask_admin, begin, get, limits, metric, occupy,
    orders::{first, serves, serving, swap, tell},
    read_answer, say, start, start_with, status, until, write_tones,
};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use ttsfleet_inference::config::Limits;
use ttsfleet_wire::{admin::Step, model::ModelRecord};

/// Pitch and rate of the versions that tests swap between.
const VERSIONS: [(f32, u32); 3] = [(220.0, RATE), (330.0, 22_050), (440.0, 16_000)];

fn small(pitch: f32) -> Value {
    json!({"pitch": pitch, "seconds": 0.2})
}

async fn start_small() -> Running {
    start_with(limits(), small(VERSIONS[0].0), |_| {}).await
}

/// Writes version `2`, perhaps with a fault.
fn second(server: &Running, fault: &str) -> ModelRecord {
    let (pitch, rate) = VERSIONS[1];
    let tone = json!({"pitch": pitch, "seconds": 0.2, "fault": fault});
    write_tones(&server.folder.path().join(format!("2-{fault}")), "2", rate, tone)
}

/// Which version speaks in this answer, by its pitch; checks that it is one
/// alone, and the one that the headers name.
fn version_of(answer: &Answer) -> usize {
    assert!(answer.status == 200 && answer.whole, "{}", answer.head);
    let samples: Vec<i16> = answer.body.chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let rate = answer.header("x-tts-sample-rate").unwrap();
    let version = VERSIONS.iter().position(|(_, known)| known.to_string() == rate).unwrap();
    assert_eq!(answer.header("x-tts-model").unwrap(), format!("tones@{}", version + 1));
    assert!(answer.header("x-tts-digest").unwrap().starts_with("sha256:"));
    let (pitch, rate) = VERSIONS[version];
    for part in samples.chunks_exact(rate as usize / 10) {
        let rises = part.windows(2).filter(|two| two[0] < 0 && two[1] >= 0).count();
        let expected = pitch / 10.0;
        assert!((rises as f32 - expected).abs() <= 2.0, "{rises} waves in 0.1 s instead of {expected}");
    }
    version
}

async fn say_pcm(server: &Running, input: &str) -> Answer {
    say(server.speech, json!({"input": input, "response_format": "pcm"})).await
}

/// Requests without pause, until stopped.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Vec<usize>>,
}

impl Load {
    fn start(server: &Running, clients: usize) -> Self {
        let mut load = Self { stop: Arc::default(), answered: Arc::default(), clients: JoinSet::new() };
        for _ in 0..clients {
            let (address, stop) = (server.speech, Arc::clone(&load.stop));
            let answered = Arc::clone(&load.answered);
            load.clients.spawn(async move {
                let mut by_version = vec![0; VERSIONS.len()];
                while !stop.load(SeqCst) {
                    let order = json!({"input": "one two three", "response_format": "pcm"});
                    by_version[version_of(&say(address, order).await)] += 1;
                    answered.fetch_add(1, SeqCst);
                }
                by_version
            });
        }
        load
    }

    async fn goes_on(&self) {
        let before = self.answered.load(SeqCst);
        until("requests are answered", async || self.answered.load(SeqCst) >= before + 8).await;
    }

    /// Answers by version.
    async fn stop(self) -> Vec<usize> {
        self.stop.store(true, SeqCst);
        let all = self.clients.join_all().await;
        (0..VERSIONS.len()).map(|version| all.iter().map(|one| one[version]).sum()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_under_load_loses_and_mixes_nothing() {
    let server = start_small().await;
    let load = Load::start(&server, 4);
    load.goes_on().await;
    assert_eq!(swap(&server, &second(&server, "none"), "Overlap").await, 202);
    serves(&server, "2").await;
    load.goes_on().await;
    assert_eq!(tell(&server, "revert").await, 200);
    assert_eq!(serving(&server).await, "1", "a revert takes no time");
    load.goes_on().await;
    let answers = load.stop().await;
    assert!(answers[0] > 0 && answers[1] > 0, "{answers:?}");
    let status = status(&server).await;
    assert_eq!((status.swaps, status.failed_loads), (2, 0));
    assert_eq!(status.previous.unwrap().version, "2");
    let all = answers.iter().sum::<usize>() as f64;
    assert_eq!(metric(server.health, r#"ttsfleet_requests_total{code="OK"}"#).await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_swaps_under_load_lose_nothing_and_keep_no_memory() {
    let server = start_small().await;
    let records: Vec<_> = (0..VERSIONS.len())
        .map(|number| {
            let (pitch, rate) = VERSIONS[number];
            let version = (number + 1).to_string();
            write_tones(&server.folder.path().join(&version), &version, rate, small(pitch))
        })
        .collect();
    let load = Load::start(&server, 2);
    let mut settled = 0;
    for number in 1..=1000 {
        // Three in turn, so that the one kept is never the next.
        let record = &records[number % records.len()];
        swap(&server, record, "Overlap").await;
        until("it is served", async || status(&server).await.serving.unwrap().record == *record).await;
        if number == 200 {
            settled = resident_kib();
        }
    }
    let answers = load.stop().await;
    assert!(answers.iter().all(|&of_one| of_one > 0), "{answers:?}");
    let status = status(&server).await;
    assert_eq!((status.swaps, status.failed_loads, status.error), (1000, 0, None));
    let grown = resident_kib().saturating_sub(settled);
    assert!(grown < 16 << 10, "{grown} KiB more than after 200 swaps");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_request_ends_on_the_model_that_it_began_with() {
    let server = start(Limits { buffered_bytes: 64 << 10, ..limits() }).await;
    let text = "word ".repeat(20);
    let mut slow = begin(server.speech, json!({"input": text, "response_format": "pcm"})).await;
    until("it is spoken", async || server.seen.started.load(SeqCst) == 1).await;
    swap(&server, &second(&server, "none"), "Overlap").await;
    serves(&server, "2").await;
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 1);
    let answer = read_answer(&mut slow).await;
    assert_eq!((version_of(&answer), answer.body.len()), (0, 20 * 2 * RATE as usize));
}

#[tokio::test]
async fn what_holds_already_is_not_begun() {
    let server = start_small().await;
    let (one, two) = (first(&server).await, second(&server, "none"));
    assert_eq!(swap(&server, &one, "Overlap").await, 200);
    assert_eq!(tell(&server, "free").await, 200);
    let stage = async || admin(&server, "POST /v1/model/stage", json!({"record": two})).await.status;
    assert_eq!(stage().await, 202);
    until("it is staged", async || status(&server).await.staged.contains(&two)).await;
    assert_eq!(stage().await, 200);
    assert_eq!(serving(&server).await, "1", "staging alone serves nothing");
    swap(&server, &two, "Overlap").await;
    serves(&server, "2").await;
    assert_eq!(swap(&server, &two, "Overlap").await, 200);
    for _ in 0..2 {
        assert_eq!(tell(&server, "revert").await, 200);
        assert_eq!(serving(&server).await, "1");
    }
    assert_eq!(swap(&server, &two, "Overlap").await, 200, "it is in memory");
    assert_eq!(serving(&server).await, "2");
    let status = status(&server).await;
    assert_eq!((status.swaps, status.task, status.error), (3, None, None));
    assert!(status.previous.unwrap().timing.load_ms < 10_000);
}

#[tokio::test]
async fn without_a_previous_model_there_is_nothing_to_revert_to() {
    let server = start_small().await;
    let answer = admin(&server, "POST /v1/model/revert", Value::Null).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (409, "NoPreviousModel"));
}

#[tokio::test]
async fn a_freed_model_goes_when_its_last_request_has_ended() {
    let server = start_small().await;
    let busy = occupy(&server).await;
    swap(&server, &second(&server, "none"), "Overlap").await;
    serves(&server, "2").await;
    assert_eq!(tell(&server, "free").await, 202);
    assert_eq!(status(&server).await.previous.unwrap().version, "1", "somebody listens to it");
    assert_eq!(tell(&server, "free").await, 202);
    assert_eq!(tell(&server, "revert").await, 409);
    drop(busy);
    until("it is gone", async || status(&server).await.previous.is_none()).await;
    assert_eq!(status(&server).await.unreturned_bytes, 0);
    assert_eq!(tell(&server, "free").await, 200);
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 1);
}

#[rstest]
#[case::refused("refused-at-load", Step::Loading, "refused on purpose")]
#[case::panics("panic-at-load", Step::Loading, "loading panics on purpose")]
#[case::panics_speaking("panic", Step::WarmingUp, "speaking panics on purpose")]
#[case::silent("silent", Step::WarmingUp, "is silent")]
#[case::nan("nan", Step::WarmingUp, "not numbers")]
#[case::endless("endless", Step::WarmingUp, "too long")]
#[tokio::test]
async fn a_bad_model_is_reported_and_never_served(
    #[case] fault: &str,
    #[case] step: Step,
    #[case] words: &str,
    #[values("Overlap", "DrainFirst")] headroom: &str,
) {
    let server = start_small().await;
    let bad = second(&server, fault);
    assert_eq!(swap(&server, &bad, headroom).await, 202);
    until("it is reported", async || {
        let status = status(&server).await;
        status.error.is_some() && status.task.is_none()
    })
    .await;
    let status = status(&server).await;
    let error = status.error.unwrap();
    assert_eq!((error.step, error.transient, error.record), (step, false, bad));
    assert!(error.message.contains(words), "{}", error.message);
    assert_eq!((status.failed_loads, status.swaps), (1, 0));
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 0);
    assert_eq!(get(server.health, "/readyz").await.status, 200);
    assert_eq!(metric(server.health, "ttsfleet_failed_loads_total").await, 1.0);
    swap(&server, &second(&server, "none"), headroom).await;
    serves(&server, "2").await;
}

#[tokio::test]
async fn audio_that_is_too_short_is_no_speech() {
    let server = start_small().await;
    let tone = json!({"pitch": 330.0, "seconds": 0.01});
    swap(&server, &write_tones(&server.folder.path().join("2"), "2", RATE, tone), "Overlap").await;
    until("it is reported", async || status(&server).await.error.is_some()).await;
    let message = status(&server).await.error.unwrap().message;
    assert!(message.contains("too short"), "{message}");
    assert_eq!(serving(&server).await, "1");
}

#[tokio::test]
async fn another_model_than_the_one_pinned_is_refused_before_it_is_loaded() {
    let server = start_small().await;
    let mut record = second(&server, "none");
    record.source.as_mut().unwrap().digest = Some(format!("sha256:{}", "0".repeat(64)));
    // The second time, the count alone tells that it has failed again.
    for failed in 1..=2 {
        swap(&server, &record, "DrainFirst").await;
        until("it is reported", async || status(&server).await.failed_loads == failed).await;
        until("it is over", async || status(&server).await.task.is_none()).await;
        let error = status(&server).await.error.unwrap();
        assert_eq!(error.step, Step::Staging);
        assert!(error.message.contains("is pinned"), "{}", error.message);
    }
    assert_eq!(metric(server.health, "ttsfleet_failed_loads_total").await, 0.0, "nothing was loaded");
    assert_eq!(serving(&server).await, "1");
}

#[tokio::test]
async fn a_load_that_hangs_is_given_up() {
    let quick = |models: &mut ttsfleet_inference::Models| models.load_limit = Duration::from_millis(300);
    let server = start_with(limits(), small(220.0), quick).await;
    for headroom in ["Overlap", "DrainFirst"] {
        let failed = status(&server).await.failed_loads;
        swap(&server, &second(&server, "hang-at-load"), headroom).await;
        until("it is given up", async || {
            let status = status(&server).await;
            status.failed_loads > failed && status.task.is_none()
        })
        .await;
        let message = status(&server).await.error.unwrap().message;
        assert!(message.contains("not ready after 0.3 s"), "{message}");
        assert_eq!(version_of(&say_pcm(&server, "hi").await), 0);
    }
    server.seen.released.store(true, SeqCst);
    swap(&server, &second(&server, "none"), "Overlap").await;
    serves(&server, "2").await;
}

#[tokio::test]
async fn drain_first_finishes_what_is_admitted_before_the_model_goes() {
    let server = start(Limits { drain: Duration::from_secs(60), ..limits() }).await;
    let busy = occupy(&server).await;
    let (one, two) = (first(&server).await, second(&server, "none"));
    assert_eq!(swap(&server, &two, "DrainFirst").await, 202);
    until("it is not ready", async || get(server.health, "/readyz").await.status == 503).await;
    assert_eq!(get(server.health, "/readyz").await.body, b"changing its model\n");
    let task = status(&server).await.task.unwrap();
    assert_eq!((task.step, task.record), (Step::Draining, two));
    assert_eq!(say_pcm(&server, "hi").await.error_code(), "Draining");
    assert_eq!(serving(&server).await, "1", "somebody listens to it");
    drop(busy);
    serves(&server, "2").await;
    until("it is ready", async || get(server.health, "/readyz").await.status == 200).await;
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 1);
    assert_eq!(status(&server).await.previous, None);
    assert_eq!(tell(&server, "revert").await, 202, "it has to be loaded again");
    serves(&server, "1").await;
    assert_eq!(first(&server).await, one);
}

#[tokio::test]
async fn requests_that_do_not_end_keep_their_model() {
    let server = start(Limits { drain: Duration::from_millis(200), ..limits() }).await;
    let _busy = occupy(&server).await;
    swap(&server, &second(&server, "none"), "DrainFirst").await;
    until("it is reported", async || status(&server).await.error.is_some()).await;
    let error = status(&server).await.error.unwrap();
    assert_eq!((error.step, error.transient), (Step::Draining, true));
    until("it is ready", async || get(server.health, "/readyz").await.status == 200).await;
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 0);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_a_swap() {
    let mut server = start(Limits { drain: Duration::from_millis(200), ..limits() }).await;
    let busy = occupy(&server).await;
    swap(&server, &second(&server, "none"), "DrainFirst").await;
    until("it is not ready", async || get(server.health, "/readyz").await.status == 503).await;
    server.stop.take().unwrap().send(()).unwrap();
    drop(busy);
    let ended = tokio::time::timeout(Duration::from_secs(10), server.ended).await;
    ended.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_newest_order_wins_whatever_was_ordered_before() {
    let server = start_small().await;
    let (one, two) = (first(&server).await, second(&server, "none"));
    let hangs = second(&server, "hang-at-load");
    swap(&server, &hangs, "Overlap").await;
    until("it loads", async || status(&server).await.task.is_some_and(|task| task.step == Step::Loading))
        .await;
    assert_eq!(swap(&server, &one, "Overlap").await, 200, "it is served");
    server.seen.released.store(true, SeqCst);
    until("it is done", async || status(&server).await.task.is_none()).await;
    assert_eq!((serving(&server).await.as_str(), status(&server).await.swaps), ("1", 0));
    assert_eq!(metric(server.health, r#"ttsfleet_swaps_total{outcome="replaced"}"#).await, 1.0);

    let mut orders = JoinSet::new();
    for number in 0..40 {
        let (admin, record) = (server.admin, if number % 2 == 0 { one.clone() } else { two.clone() });
        orders.spawn(async move {
            let body = json!({"record": record, "headroom": "Overlap"}).to_string();
            let head = format!("POST /v1/model/swap HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{JSON}");
            let length = body.len();
            let rest = format!("authorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n{body}");
            common::exchange(admin, (head + &rest).as_bytes()).await.status
        });
    }
    for status in orders.join_all().await {
        assert!([200, 202].contains(&status), "{status}");
    }
    swap(&server, &two, "Overlap").await;
    serves(&server, "2").await;
    until("all is done", async || status(&server).await.task.is_none()).await;
    assert_eq!(version_of(&say_pcm(&server, "hi").await), 1);
}

#[tokio::test]
async fn a_model_is_held_to_account_for_its_own_requests() {
    let server = start_small().await;
    for input in ["hi", "hi", "fail", "panic", "word fail"] {
        say_pcm(&server, input).await;
    }
    say(server.speech, json!({"input": "hi", "voice": "nobody"})).await;
    say(server.speech, json!({"input": "hi", "response_format": "wav"})).await;
    say(server.speech, json!({"input": "hi", "stream_format": "sse", "response_format": "pcm"})).await;
    until("all are counted", async || metric(server.health, IN_FLIGHT).await == 0.0).await;
    let counted = status(&server).await.serving.unwrap().served;
    assert_eq!((counted.requests, counted.failed), (7, 3));
    assert!(counted.first_audio_us > 0);
    swap(&server, &second(&server, "none"), "Overlap").await;
    serves(&server, "2").await;
    let status = status(&server).await;
    assert_eq!(status.previous.unwrap().served, counted);
    assert_eq!(status.serving.unwrap().served, Default::default());
}

#[tokio::test]
async fn the_metrics_name_the_model_that_is_served() {
    let server = start_small().await;
    swap(&server, &second(&server, "none"), "Overlap").await;
    serves(&server, "2").await;
    let text = String::from_utf8(get(server.health, "/metrics").await.body).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("ttsfleet_model_info")).collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    assert!(line.contains(r#"version="2""#) && line.ends_with(" 1"), "{line}");
    for (outcome, times) in [("first", 1.0), ("swapped", 1.0)] {
        let line = format!(r#"ttsfleet_swaps_total{{outcome="{outcome}"}}"#);
        assert_eq!(metric(server.health, &line).await, times, "{outcome}");
    }
    for name in ["staged_bytes", "stage_size_bytes", "unreturned_memory_bytes", "model_load_seconds"] {
        assert!(text.contains(&format!("\nttsfleet_{name} ")), "{name}");
    }
}

#[rstest]
#[case::none("")]
#[case::wrong("authorization: Bearer open sesam\r\n")]
#[case::hash("authorization: Bearer 41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\r\n")]
#[case::another_scheme("authorization: Basic open sesame\r\n")]
#[tokio::test]
async fn without_the_token_there_is_nothing_to_see_or_order(#[case] headers: &str) {
    let server = start_small().await;
    let headers = format!("{JSON}{headers}");
    for order in ["GET /v1/model", "POST /v1/model/swap", "POST /v1/model/free", "GET /v1/what"] {
        let answer = ask_admin(&server, &headers, order, json!({})).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (401, "Unauthorized"), "{order}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn what_is_no_order_is_refused_in_words() {
    let server = start_small().await;
    let mut with_more = json!({"record": first(&server).await});
    with_more["headroom"] = "Overlap".into();
    with_more["force"] = true.into();
    for (order, body, status, code) in [
        ("POST /v1/model/swap", json!({}), 400, "InvalidJson"),
        ("POST /v1/model/swap", with_more, 400, "InvalidJson"),
        ("POST /v1/model/stage", json!("x".repeat(65 << 10)), 413, "BodyTooLarge"),
        ("POST /v1/model", json!({}), 405, "MethodNotAllowed"),
        ("GET /v1/models", json!({}), 404, "NotFound"),
    ] {
        let answer = admin(&server, order, body).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{order}");
    }
    assert_eq!(
        ask_admin(&server, &format!("authorization: Bearer {TOKEN}\r\n"), "POST /v1/model/swap", json!({}))
            .await
            .status,
        415
    );
}
