//! Requests keep being answered, whatever happens to pods, gateways and specs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../load.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod load;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use load::{Outcome, Sample, client, steady};
use serde_json::{Value, json};
use support::{Namespace, alone, cluster};
use ttsfleet_e2e::cluster::PodSignal;
use ttsfleet_e2e::target::Target;
use ttsfleet_e2e::waiting::eventually;

/// Two small pods, quick to speak the short texts sent here.
const TWO: &str =
    "{replicas: 2, pools: [{name: main, capacity: {workers: 2}, resources: {memory: 512Mi, cpu: 400m}}]}";
const TEXT: &str = "Good morning.";
/// Requests a second: well within what the pods can do on two cores.
const RATE: f64 = 4.0;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn url(space: &Namespace, fleet: &str) -> String {
    cluster().reach(&space.name, fleet).unwrap().url.clone()
}

/// Sends requests for some seconds while `disturb` runs, from the first second on.
fn under_load(url: &str, seconds: f64, disturb: impl FnOnce() + Send) -> Vec<Sample> {
    let shots = steady(0.0, seconds, RATE, || TEXT.to_owned());
    std::thread::scope(|scope| {
        let samples = scope.spawn(|| runtime().block_on(load::run(url, shots)));
        std::thread::sleep(Duration::from_secs(1));
        disturb();
        samples.join().unwrap()
    })
}

fn spoken(sample: &&Sample) -> bool {
    sample.outcome == Outcome::Spoken { degraded: None, truncated: false }
}

fn assert_all_spoken(samples: &[Sample]) {
    let others: Vec<_> = samples.iter().filter(|sample| !spoken(sample)).collect();
    assert!(others.is_empty(), "{} of {}: {others:?}", others.len(), samples.len());
}

fn pod_of(space: &Namespace, component: &str) -> String {
    let selector = format!("app.kubernetes.io/component={component}");
    let pods = space.get(&["pods", "-l", &selector]);
    pods["items"][0]["metadata"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn a_rolling_update_under_load_fails_no_request() {
    let _alone = alone();
    let space = Namespace::fresh("rolling");
    space.fleet("steady", TWO);
    space.wait_ready("steady");
    let samples = under_load(&url(&space, "steady"), 25.0, || {
        space.fleet("steady", &TWO.replace("512Mi", "544Mi"));
        space.kubectl(&["rollout", "status", "deployment/steady-main", "--timeout=90s"]).unwrap();
    });
    let memory =
        &space.get(&["deployment", "steady-main"])["spec"]["template"]["spec"]["containers"][0]["resources"];
    assert_eq!(memory["limits"]["memory"], "544Mi");
    assert_all_spoken(&samples);
}

#[test]
fn a_pod_killed_or_frozen_under_load_fails_no_request() {
    let _alone = alone();
    let space = Namespace::fresh("killed");
    space.fleet("steady", TWO);
    space.wait_ready("steady");
    let url = url(&space, "steady");
    let killed = under_load(&url, 10.0, || {
        cluster().signal_pod(&space.name, &pod_of(&space, "inference"), PodSignal::Kill).unwrap()
    });
    assert_all_spoken(&killed);
    space.wait_ready("steady");
    let pod = pod_of(&space, "inference");
    let frozen = under_load(&url, 10.0, || {
        cluster().signal_pod(&space.name, &pod, PodSignal::Freeze).unwrap();
        std::thread::sleep(Duration::from_secs(6));
        cluster().signal_pod(&space.name, &pod, PodSignal::Thaw).unwrap();
    });
    assert_all_spoken(&frozen);
}

#[test]
fn a_gateway_stopped_under_load_fails_no_request_and_one_killed_only_what_it_held() {
    let _alone = alone();
    let space = Namespace::fresh("gateways");
    space.fleet("steady", TWO);
    space.wait_ready("steady");
    let url = url(&space, "steady");
    let stopped = under_load(&url, 15.0, || {
        space.kubectl(&["delete", "pod", &pod_of(&space, "gateway"), "--wait=false"]).unwrap();
    });
    assert_all_spoken(&stopped);
    space.wait_ready("steady");

    let begun = Instant::now();
    let mut at = Duration::ZERO;
    let killed = under_load(&url, 10.0, || {
        at = begun.elapsed();
        cluster().signal_pod(&space.name, &pod_of(&space, "gateway"), PodSignal::Kill).unwrap();
    });
    let lost: Vec<_> = killed.iter().filter(|sample| !spoken(sample)).collect();
    // Those under way on it, and those sent there before the nodes have heard.
    let margin = Duration::from_secs(4);
    let near = |sample: &&&Sample| sample.at + margin > at && sample.at < at + margin;
    assert!(lost.iter().all(|sample| near(&sample)), "{lost:?}");
    assert!(lost.len() <= killed.len() / 4, "{} of {}", lost.len(), killed.len());
    println!("a gateway killed: {} of {} requests lost", lost.len(), killed.len());
}

#[test]
fn a_pod_killed_in_the_middle_of_its_answers_cuts_none_of_them_off() {
    let _alone = alone();
    let space = Namespace::fresh("midstream");
    let two = "{replicas: 2, limits: {maxInputChars: 4096}, gateway: {replicas: 1}, \
               pools: [{name: main, resources: {memory: 512Mi, cpu: 400m}}]}";
    space.fleet("broken", two);
    let text = "The river runs past the old mill and under the stone bridge. ".repeat(6);
    space.wait_ready("broken");
    let url = url(&space, "broken");
    let order = |text: &str| json!({"input": text, "response_format": "pcm"});
    let whole = runtime().block_on(heard(&url, &order(&text), || ()));
    assert!(whole.len() > 500_000, "{} bytes", whole.len());
    let pod = pod_of(&space, "inference");
    // Each pod speaks some of four.
    let begun = AtomicUsize::new(0);
    let kill = || {
        if begun.fetch_add(1, Ordering::SeqCst) == 3 {
            cluster().signal_pod(&space.name, &pod, PodSignal::Kill).unwrap();
        }
    };
    let answers = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| runtime().block_on(heard(&url, &order(&text), &kill)));
        let asked = [(); 4].map(|()| ask());
        asked.map(|answer| answer.join().unwrap())
    });
    assert!(answers.iter().all(|answer| *answer == whole), "{:?}", answers.map(|answer| answer.len()));
    let gateway = space.get(&["pods", "-l", "app.kubernetes.io/component=gateway"]);
    let health = format!("http://{}:8081/metrics", gateway["items"][0]["status"]["podIP"].as_str().unwrap());
    let metrics =
        runtime().block_on(async { client().get(health).send().await.unwrap().text().await.unwrap() });
    assert!(metrics.contains("ttsfleet_gateway_resumed_total{outcome=\"resumed\"}"), "{metrics}");
}

#[test]
fn limits_change_without_a_restart_and_long_texts_are_spoken_whole_cut_or_refused() {
    let _alone = alone();
    let space = Namespace::fresh("limits");
    let one = "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: 400m}}]}";
    space.fleet("short", one);
    space.wait_ready("short");
    let url = url(&space, "short");
    let pods = || {
        let pods = space.get(&["pods"]);
        let mut uids: Vec<String> =
            pods["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
        uids.sort();
        uids
    };
    let before = pods();
    let long = "One sentence of thirty letters. ".repeat(40);
    let ask = || runtime().block_on(speak(&url, &json!({"input": long, "response_format": "pcm"}), None));
    let limited = |limits: &str| {
        space.fleet("short", &one.replace("replicas: 1,", &format!("replicas: 1, limits: {{{limits}}},")))
    };
    let (status, headers, _) = ask();
    assert_eq!(
        (status, &headers["x-tts-truncated"]),
        (200, &Value::Null),
        "spoken whole where there is room"
    );

    limited("onOverflow: Truncate");
    eventually("long texts are cut", Duration::from_secs(15), || ask().1["x-tts-truncated"] == "true");
    let (_, headers, _) = ask();
    assert_eq!(headers["cache-control"], "no-store", "{headers}");
    limited("onOverflow: Reject");
    eventually("long texts are refused", Duration::from_secs(15), || ask().0 == 400);
    limited("hardLimit: 1000");
    eventually("texts beyond the hard limit are refused", Duration::from_secs(15), || {
        let (status, _, body) = ask();
        status == 400 && body["error"]["message"].as_str().is_some_and(|words| words.contains("1000"))
    });
    assert_eq!(pods(), before, "no pod was restarted");
}

#[test]
fn hostile_requests_get_their_error_and_harm_nobody() {
    let _alone = alone();
    let space = Namespace::fresh("hostile");
    space.fleet("door", "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: 400m}}]}");
    space.wait_ready("door");
    let url = url(&space, "door");
    let host = url.strip_prefix("http://").unwrap();

    // Half a request line each, and no more.
    let mut slow: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect((host, 80)).unwrap()).collect();
    for socket in &mut slow {
        socket.write_all(b"POST /v1/audio/speech HT").unwrap();
    }
    for (body, status, code) in [
        (vec![b' '; 10 << 20], 413, "BodyTooLarge"),
        (b"{\"input\": ".to_vec(), 400, "InvalidJson"),
        (b"{\"input\": \"\xff\"}".to_vec(), 400, "InvalidJson"),
        (b"{\"input\": \"Hi.\", \"voice\": \"nobody\"}".to_vec(), 400, "UnknownVoice"),
        (b"{\"input\": \"Hi.\", \"response_format\": \"au\"}".to_vec(), 400, "UnsupportedFormat"),
    ] {
        assert_eq!(post_raw(host, &body), (status, code.to_owned()));
    }
    let (status, ..) = runtime().block_on(speak(&url, &json!({"input": TEXT}), None));
    assert_eq!(status, 200);
    drop(slow);
}

#[test]
fn keys_name_tiers_and_the_backup_speaks_when_the_main_pool_is_gone() {
    let _alone = alone();
    let space = Namespace::fresh("tiers");
    let spec = "{pools: [{name: main, replicas: 1, resources: {memory: 512Mi, cpu: 300m}}, \
                {name: backup, replicas: 1, resources: {memory: 512Mi, cpu: 300m}}], gateway: {replicas: 1}, \
                routing: {tiers: [{name: premium, pools: [main, backup]}, {name: standard, pools: [backup]}], \
                tierFrom: {apiKeySecretRef: {name: keys}}}}";
    let secret =
        ["create", "secret", "generic", "keys", "--from-literal=premium=gold", "--from-literal=standard=tin"];
    space.kubectl(&secret).unwrap();
    space.fleet("tiered", spec);
    space.wait_ready("tiered");
    let url = url(&space, "tiered");
    let ask = |key: Option<&str>| {
        runtime().block_on(speak(&url, &json!({"input": TEXT, "response_format": "pcm"}), key))
    };
    let pool = |key: &str| ask(Some(key)).1["x-tts-pool"].as_str().unwrap_or_default().to_owned();
    assert_eq!((pool("gold").as_str(), pool("tin").as_str()), ("main", "backup"));
    assert_eq!(ask(Some("lead")).0, 401);
    let (status, _, body) = ask(None);
    assert_eq!((status, &body["error"]["error_code"]), (401, &json!("Unauthorized")));

    space.fleet("tiered", &spec.replacen("replicas: 1", "replicas: 0", 1));
    eventually("the backup speaks for the main pool", Duration::from_secs(60), || pool("gold") == "backup");
    let (_, headers, _) = ask(Some("gold"));
    assert_eq!(headers["x-tts-degraded"], "backup");
    space.fleet("tiered", spec);
    eventually("the main pool speaks again", Duration::from_secs(90), || pool("gold") == "main");
}

#[test]
fn a_quota_is_the_fleets_and_not_each_gateways() {
    let _alone = alone();
    let space = Namespace::fresh("quotas");
    // printf %s gold | sha256sum
    let gold = "sha256:24d7f03d8dc3c3666969e6fa5bb1fac4736d3f1353c28307ed51b320f9dc42d3 name=acme characters-per-day=52";
    let line = format!("--from-literal=standard={gold}\nold until=2020-01-01\nfree\n");
    space.kubectl(&["create", "secret", "generic", "keys", &line]).unwrap();
    let spec = "{replicas: 1, gateway: {replicas: 2}, pools: [{name: main, resources: {memory: 512Mi, cpu: 400m}}], \
                routing: {tiers: [{name: standard, pools: [main]}], tierFrom: {apiKeySecretRef: {name: keys}}}}";
    space.fleet("bounded", spec);
    space.wait_ready("bounded");
    let url = url(&space, "bounded");
    let ask = |key: &str| runtime().block_on(speak(&url, &json!({"input": TEXT}), Some(key)));
    let mut spoken = 0;
    let refused = loop {
        let (status, headers, body) = ask("gold");
        if status != 200 {
            break (status, headers, body);
        }
        spoken += TEXT.len();
        eventually("each gateway has heard of it", Duration::from_secs(20), || {
            let pods = space.get(&["pods", "-l", "app.kubernetes.io/component=gateway"]);
            let pods = pods["items"].as_array().unwrap().clone();
            pods.len() == 2 && pods.iter().all(|pod| runtime().block_on(counted(pod)) == spoken as u64)
        });
    };
    assert_eq!((refused.0, &refused.2["error"]["error_code"]), (429, &json!("QuotaExceeded")), "{refused:?}");
    assert_eq!(spoken, 52, "whichever gateway was asked");
    assert_eq!(refused.1["x-ratelimit-remaining-characters"], "0");
    assert_eq!(ask("free").0, 200);
    let (status, _, body) = ask("old");
    assert_eq!(status, 401);
    assert!(body["error"]["message"].as_str().unwrap().contains("valid until"), "{body}");
}

#[test]
fn a_failure_is_an_error_that_clients_act_on_and_silence_is_for_those_who_ask_for_it() {
    let _alone = alone();
    let space = Namespace::fresh("exhausted");
    let one =
        "{replicas: 1, gateway: {replicas: 1}, pools: [{name: main, resources: {memory: 512Mi, cpu: 400m}}]}";
    space.fleet("frozen", one);
    space.wait_ready("frozen");
    let url = url(&space, "frozen");
    let ask = |wish: Option<&str>| {
        let mut request = client().post(format!("{url}/v1/audio/speech")).json(&json!({"input": TEXT}));
        if let Some(wish) = wish {
            request = request.header("x-tts-on-exhausted", wish);
        }
        runtime().block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, headers, answer.bytes().await.unwrap())
        })
    };
    let (status, ..) = ask(None);
    assert_eq!(status, 200);
    cluster().signal_pod(&space.name, &pod_of(&space, "inference"), PodSignal::Freeze).unwrap();
    eventually("nobody speaks", Duration::from_secs(30), || ask(None).0 != 200);

    let (status, headers, body) = ask(None);
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert!((500..600).contains(&status) && headers.contains_key("retry-after"), "{status} {headers:?}");
    assert_eq!(
        (&error["error"]["retryable"], &headers["cache-control"]),
        (&json!(true), &"no-store".parse().unwrap())
    );

    let (status, headers, body) = ask(Some("empty-audio"));
    // A refusal for want of room stays one; a failure becomes a file.
    if status == 200 {
        assert_eq!(
            (&headers["x-tts-degraded"], &headers["cache-control"]),
            (&"empty-audio".parse().unwrap(), &"no-store".parse().unwrap())
        );
        assert!(!body.is_empty());
    } else {
        assert_eq!(status, 503);
    }
    assert_eq!(ask(Some("silence")).0, 400);
    cluster().signal_pod(&space.name, &pod_of(&space, "inference"), PodSignal::Thaw).unwrap();
    eventually("the pod speaks again", Duration::from_secs(60), || ask(None).0 == 200);
}

#[test]
fn a_gateway_whose_account_is_made_again_goes_on_knowing_its_pods() {
    let _alone = alone();
    let space = Namespace::fresh("account");
    space.fleet("steady", TWO);
    space.wait_ready("steady");
    let url = url(&space, "steady");
    let gateways = || {
        let pods = space.get(&["pods", "-l", "app.kubernetes.io/component=gateway"]);
        let names = pods["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].to_string());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let old = gateways();
    let samples = under_load(&url, 40.0, || {
        space.kubectl(&["delete", "serviceaccount", "steady-gateway"]).unwrap();
        eventually("the gateways are replaced", Duration::from_secs(90), || {
            let new = gateways();
            !new.is_empty() && new.is_disjoint(&old)
        });
        space.kubectl(&["rollout", "restart", "deployment/steady-main"]).unwrap();
        space.kubectl(&["rollout", "status", "deployment/steady-main", "--timeout=90s"]).unwrap();
    });
    assert_all_spoken(&samples);
    let (status, ..) = runtime().block_on(speak(&url, &json!({"input": TEXT}), None));
    assert_eq!(status, 200, "the gateways know the new pods");
}

/// All bytes of an answer; `begun` is called when the first have come.
async fn heard(url: &str, order: &Value, begun: impl FnOnce()) -> Vec<u8> {
    let mut response = client().post(format!("{url}/v1/audio/speech")).json(order).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut bytes = response.chunk().await.unwrap().unwrap_or_default().to_vec();
    begun();
    while let Some(piece) = response.chunk().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// Characters that a gateway knows to have been spoken, by whichever gateway.
async fn counted(gateway: &Value) -> u64 {
    let url = format!("http://{}:8081/usage", gateway["status"]["podIP"].as_str().unwrap_or_default());
    let Ok(answer) = client().get(url).send().await else { return 0 };
    let told: Value = answer.json().await.unwrap_or_default();
    let accounts =
        told.as_array().into_iter().flatten().flat_map(|one| one["accounts"].as_object().unwrap().values());
    accounts.map(|account| account["characters"].as_u64().unwrap_or_default()).sum()
}

/// Status, headers and, if it is JSON, the body of an answer.
async fn speak(url: &str, body: &Value, key: Option<&str>) -> (u16, Value, Value) {
    let mut request = client().post(format!("{url}/v1/audio/speech")).json(body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().iter().map(|(name, value)| {
        (name.to_string(), Value::String(value.to_str().unwrap_or_default().to_owned()))
    });
    let headers = Value::Object(headers.collect());
    let bytes = response.bytes().await.unwrap();
    (status, headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Sends a body as it is. Whoever refuses a large body early may close before
/// all of it is sent, so that a failed write is no error.
fn post_raw(host: &str, body: &[u8]) -> (u16, String) {
    let mut socket = TcpStream::connect((host, 80)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(request_head(body.len()).as_bytes()).unwrap();
    _ = socket.write_all(body);
    let mut answer = Vec::new();
    _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body: Value = answer
        .split_once("\r\n\r\n")
        .and_then(|(_, body)| serde_json::from_str(body).ok())
        .unwrap_or_default();
    (status, body["error"]["error_code"].as_str().unwrap_or_default().to_owned())
}

fn request_head(length: usize) -> String {
    format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: door\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}
