//! Prompts, spoken to two servers that the test plays.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use ttsfleet_ears::{Clip, Mos};
use ttsfleet_judge::{
    driver::drive,
    judge::{Judge, start_listening},
    listen::Ears,
    normalise::Script,
    pair::{Job, Spoken},
    recogniser::{Recogniser, RecogniserError},
};
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    judge::{Quantity, Recogniser as Kind, Report, Session},
};

/// What a server was asked to say, in order, with the server's name.
type Asked = Arc<Mutex<Vec<(&'static str, Value)>>>;

#[derive(Clone)]
struct Server {
    name: &'static str,
    digest: &'static str,
    language: &'static str,
    failure: Option<ErrorCode>,
    asked: Asked,
}

struct Deaf;

impl Recogniser for Deaf {
    fn hears(&self, _: Script) -> bool {
        true
    }

    fn transcribe(&mut self, _: &Clip) -> Result<String, RecogniserError> {
        Ok(String::new())
    }
}

/// Hears a clip each time that it is told to go on.
struct Told(Receiver<()>);

impl Recogniser for Told {
    fn hears(&self, _: Script) -> bool {
        true
    }

    fn transcribe(&mut self, _: &Clip) -> Result<String, RecogniserError> {
        self.0.recv().map_err(|_| RecogniserError::TooSlow(0))?;
        Ok(String::new())
    }
}

impl Server {
    fn new(name: &'static str, asked: &Asked) -> Self {
        let asked = Arc::clone(asked);
        Self { name, digest: "sha256:a", language: "en-US", failure: None, asked }
    }

    async fn start(self) -> String {
        let routes = Router::new()
            .route("/v1/audio/speech", post(speak))
            .route("/v1/audio/voices", get(voices))
            .with_state(self);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }
}

async fn voices(State(server): State<Server>) -> Json<Value> {
    Json(json!({"voices": [{"id": "v", "languages": [server.language], "sample_rate": 8000}]}))
}

async fn speak(State(server): State<Server>, Json(body): Json<Value>) -> Response {
    server.asked.lock().unwrap().push((server.name, body));
    match server.failure {
        Some(code) => {
            let status = StatusCode::from_u16(code.entry().status).unwrap();
            (status, Json(ErrorBody::new(code, "no", None, "r"))).into_response()
        }
        None => {
            let headers = [
                ("content-type", "audio/pcm"),
                ("x-tts-sample-rate", "8000"),
                ("x-tts-digest", server.digest),
                ("x-tts-queue-ms", "3"),
            ];
            (headers, tone()).into_response()
        }
    }
}

/// A second of it.
fn tone() -> Vec<u8> {
    let sample = |index: u32| ((index as f32 * 0.3).sin() * 9000.0) as i16;
    (0..8000).flat_map(|index| sample(index).to_le_bytes()).collect()
}

/// A caller's pair in which both say the same.
fn callers() -> Job {
    let content_type = "audio/pcm".to_owned();
    let spoken =
        Spoken { content_type, sample_rate: 8000, audio: tone(), first_audio_ms: 1.0, total_ms: 2.0 };
    let (baseline, candidate) = (Some(spoken.clone()), Some(spoken));
    Job { text: "Good morning.".to_owned(), baseline, candidate, from_prompt: false }
}

async fn start(baseline: Server, candidate: Server, prompts: Option<Vec<String>>) -> Arc<Judge> {
    let judge = judge_of(baseline, candidate, prompts).await;
    listen_and_drive(&judge, Deaf);
    judge
}

fn listen_and_drive(judge: &Arc<Judge>, recogniser: impl Recogniser + 'static) {
    let ears = || Ok(Ears { recogniser: Box::new(recogniser), mos: Mos::load().unwrap() });
    start_listening(judge, ears).unwrap();
    tokio::spawn(drive(Arc::clone(judge), |script| script == Script::Latin));
}

async fn judge_of(baseline: Server, candidate: Server, prompts: Option<Vec<String>>) -> Arc<Judge> {
    let session = Session {
        id: "s1".to_owned(),
        baseline_url: baseline.start().await,
        candidate_url: candidate.start().await,
        baseline_digest: Some("sha256:a".to_owned()),
        candidate_digest: Some("sha256:a".to_owned()),
        min_samples: 20,
        confidence_percent: 95,
        prompts,
        prompt_after_seconds: 0,
        recogniser: Kind::Embedded,
    };
    Arc::new(Judge::new(session))
}

async fn until(judge: &Judge, wanted: impl Fn(&Report) -> bool) -> Report {
    let wait = async {
        loop {
            let report = judge.report();
            if wanted(&report) {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("the report becomes so")
}

#[tokio::test]
async fn both_speak_the_same_one_after_the_other_and_take_turns() {
    let asked = Asked::default();
    let prompts = Some(vec!["One.".to_owned(), "Two.".to_owned()]);
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), prompts).await;
    let report = until(&judge, |report| report.samples >= 3).await;
    assert!(report.from_prompts >= 3 && report.trouble.is_none(), "{report:?}");
    let asked = asked.lock().unwrap();
    let told: Vec<_> = asked[..6].iter().map(|(who, body)| (*who, body["input"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("old", "One."),
            ("new", "One."),
            ("new", "Two."),
            ("old", "Two."),
            ("old", "One."),
            ("new", "One."),
        ]
    );
    assert!(asked[0].1["speed"].is_null() && asked[4].1["speed"].is_number());
    assert_eq!(asked[4].1["speed"], asked[5].1["speed"]);
    assert!(asked.iter().all(|(_, body)| body["response_format"] == "pcm"));
}

#[tokio::test]
async fn a_candidate_that_fails_is_a_sample_and_one_that_is_away_is_trouble() {
    let asked = Asked::default();
    let failing = Server { failure: Some(ErrorCode::InferenceFailed), ..Server::new("new", &asked) };
    let judge = start(Server::new("old", &asked), failing, None).await;
    let report = until(&judge, |report| report.samples >= 2).await;
    let [errors] = &report.measures[..] else { panic!("{report:?}") };
    assert_eq!((errors.quantity, errors.baseline, errors.candidate), (Quantity::Errors, 0.0, 1.0));

    let full = Server { failure: Some(ErrorCode::ModelNotReady), ..Server::new("new", &asked) };
    let judge = start(Server::new("old", &asked), full, None).await;
    let report = until(&judge, |report| report.trouble.is_some()).await;
    let trouble = report.trouble.unwrap();
    assert!(trouble.contains("candidate") && trouble.contains("ModelNotReady"), "{trouble}");
    assert_eq!(report.samples, 0);
}

#[tokio::test]
async fn another_model_than_the_one_under_test_is_trouble() {
    let asked = Asked::default();
    let other = Server { digest: "sha256:b", ..Server::new("old", &asked) };
    let judge = start(other, Server::new("new", &asked), None).await;
    let report = until(&judge, |report| report.trouble.is_some()).await;
    assert!(report.trouble.unwrap().contains("sha256:b"));
    assert_eq!(report.samples, 0);
}

#[tokio::test]
async fn without_texts_in_the_models_language_that_is_said() {
    let asked = Asked::default();
    let french = Server { language: "fr", ..Server::new("old", &asked) };
    let judge = start(french, Server::new("new", &asked), None).await;
    let report = until(&judge, |report| report.trouble.is_some()).await;
    assert!(report.trouble.unwrap().contains("promptsFrom"));
    assert!(asked.lock().unwrap().is_empty());

    let chinese = Server { language: "zh-CN", ..Server::new("old", &asked) };
    let judge = start(chinese, Server::new("new", &asked), None).await;
    let report = until(&judge, |report| report.samples > 0).await;
    assert!(report.trouble.unwrap().contains("recogniser"));
}

#[tokio::test]
async fn given_texts_that_are_not_heard_are_left_out_or_else_told_of() {
    let given = ["Good day.", "今天天气很好。"].map(str::to_owned);
    let asked = Asked::default();
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), Some(given.to_vec())).await;
    let report = until(&judge, |report| report.samples >= 2).await;
    assert_eq!(report.trouble, None);
    assert!(asked.lock().unwrap().iter().all(|(_, body)| body["input"] == "Good day."));

    let silent = Some(given[1..].to_vec());
    let judge = start(Server::new("old", &asked), Server::new("new", &asked), silent).await;
    let report = until(&judge, |report| report.samples >= 2).await;
    let trouble = report.trouble.unwrap();
    assert!(
        trouble.contains("promptsFrom") && trouble.contains("spec.rollout.judge.recogniser"),
        "{trouble}"
    );
    let measured = |quantity| report.measures.iter().any(|measure| measure.quantity == quantity);
    assert!(measured(Quantity::Mos) && measured(Quantity::Prosody));
}

#[tokio::test]
async fn callers_pairs_keep_prompts_away_only_once_words_are_heard_in_them() {
    let asked = Asked::default();
    let judge = judge_of(Server::new("old", &asked), Server::new("new", &asked), None).await;
    assert!((0..4).all(|_| judge.queue.push(callers())));
    let (go_on, told) = channel();
    listen_and_drive(&judge, Told(told));
    // One is being listened to, three wait, and prompts are spoken nevertheless.
    until(&judge, |report| report.waiting == 5).await;
    assert!(!judge.callers_will_do() && judge.quiet().is_none());
    assert!(asked.lock().unwrap().len() >= 4);
    go_on.send(()).unwrap();
    until(&judge, |report| report.samples == 1).await;
    assert!(judge.callers_will_do() && judge.quiet().is_some());
}
