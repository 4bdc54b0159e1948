//! Two servers that the test plays, and a judge that asks them.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, Request, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;
use ttsfleet_ears::{Clip, Mos};
use ttsfleet_judge::{
    driver::drive,
    http::routes,
    judge::{Judge, start_listening},
    listen::Ears,
    normalise::Script,
    recogniser::{Recogniser, RecogniserError},
};
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    judge::{Quantity, Recogniser as Kind, Report, Session},
};

/// What a server was asked to say.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The server's name.
    pub(crate) who: &'static str,
    /// The caller's end of the connection.
    pub(crate) from: SocketAddr,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// What servers were asked, in order.
pub(crate) type Asked = Arc<Mutex<Vec<Question>>>;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) digest: &'static str,
    pub(crate) language: &'static str,
    pub(crate) failure: Option<ErrorCode>,
    /// Whether it ends a connection instead of answering.
    pub(crate) breaks: bool,
    /// Seconds of audio.
    pub(crate) seconds: u32,
    /// Whether it finds words in what callers send.
    pub(crate) finds_words: bool,
    pub(crate) asked: Asked,
}

impl Server {
    pub(crate) fn new(name: &'static str, asked: &Asked) -> Self {
        let asked = Arc::clone(asked);
        let (digest, language) = ("sha256:a", "en-US");
        Self { name, digest, language, failure: None, breaks: false, seconds: 1, finds_words: true, asked }
    }

    pub(crate) async fn start(self) -> String {
        let routes = Router::new()
            .route("/v1/audio/speech", post(speak))
            .route("/v1/audio/voices", get(voices))
            .with_state(self)
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        format!("http://{address}")
    }
}

async fn voices(State(server): State<Server>) -> Json<Value> {
    Json(json!({"voices": [{"id": "v", "languages": [server.language], "sample_rate": 8000}]}))
}

async fn speak(
    State(server): State<Server>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let is_callers = body["input"].as_str().unwrap().starts_with("Caller");
    let no_words = is_callers && !server.finds_words;
    server.asked.lock().unwrap().push(Question { who: server.name, from, headers, body });
    assert!(!server.breaks, "the connection ends");
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
                ("x-tts-no-words", if no_words { "true" } else { "false" }),
            ];
            (headers, tone(server.seconds)).into_response()
        }
    }
}

/// So many seconds of it.
fn tone(seconds: u32) -> Vec<u8> {
    let sample = |index: u32| ((index as f32 * 0.3).sin() * 9000.0) as i16;
    (0..8000 * seconds).flat_map(|index| sample(index).to_le_bytes()).collect()
}

/// Hears nothing, whatever the language.
pub(crate) struct Deaf;

impl Recogniser for Deaf {
    fn hears(&self, _: Script) -> bool {
        true
    }

    fn transcribe(&mut self, _: &Clip) -> Result<String, RecogniserError> {
        Ok(String::new())
    }
}

/// A judge that does nothing yet.
pub(crate) async fn judge_of(
    baseline: Server,
    candidate: Server,
    change: impl FnOnce(&mut Session),
) -> Arc<Judge> {
    let digest = |server: &Server| Some(server.digest.to_owned());
    let digests = (digest(&baseline), digest(&candidate));
    let mut session = Session {
        id: "s1".to_owned(),
        baseline_url: baseline.start().await,
        candidate_url: candidate.start().await,
        baseline_digest: digests.0,
        candidate_digest: digests.1,
        min_samples: 20,
        confidence_percent: 95,
        prompts: None,
        prompt_after_seconds: 0,
        recogniser: Kind::Embedded,
    };
    change(&mut session);
    Arc::new(Judge::new(session))
}

/// Has it listen, and ask both sides.
pub(crate) fn listen_and_drive(judge: &Arc<Judge>, recogniser: impl Recogniser + 'static) {
    let ears = || Ok(Ears::new(Box::new(recogniser), Mos::load().unwrap()));
    start_listening(judge, ears).unwrap();
    tokio::spawn(drive(Arc::clone(judge), |script| script == Script::Latin));
}

/// Pairs judged, those of a text that was compared before or not at all among them.
pub(crate) fn pairs(report: &Report) -> u64 {
    let errors = report.measures.iter().find(|measure| measure.quantity == Quantity::Errors);
    errors.map_or(0, |errors| errors.samples)
}

pub(crate) async fn until(judge: &Judge, wanted: impl Fn(&Report) -> bool) -> Report {
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

/// Sends a request to the judge's port; the status and the answer's body.
pub(crate) async fn post_request(judge: &Arc<Judge>, body: impl Into<Body>) -> (StatusCode, String) {
    let request = Request::post("/v1/requests").header("content-type", "application/json");
    let response = routes(Arc::clone(judge)).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
