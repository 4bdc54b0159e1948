//! A real server on loopback with a model of tones, and a plain client that
//! sends exactly the bytes it is told to.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use ttsfleet_inference::{
    Served, Server,
    config::{Args, Limits},
};
use ttsfleet_models::{AudioSink, Manifest, SpeechError, SpeechModel, Utterance};

pub(crate) const RATE: u32 = 24_000;

/// What the tone model has been doing, for tests to wait on.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) started: AtomicUsize,
    pub(crate) broken_off: AtomicUsize,
    /// Set by a test to end what burns.
    pub(crate) released: AtomicBool,
}

/// Speaks one second of a tone for each word. Some words are commands: `spin`
/// speaks until nobody listens, `burn` computes until released, `panic` panics, `fail` fails, `mute` makes
/// nothing, `nan` gives numbers that are not audio; `ПРИВЕТ` cannot be read.
pub(crate) struct Tones {
    pub(crate) manifest: Manifest,
    pub(crate) seen: Arc<Seen>,
}

impl Tones {
    pub(crate) fn new() -> Self {
        let manifest = Manifest {
            family: "tones".into(),
            name: "tones".into(),
            version: "1".into(),
            sample_rate: RATE,
            languages: vec!["en-US".into()],
            voices: vec!["low".into(), "high".into()],
            licence: "Apache-2.0".into(),
            files: vec![],
        };
        Self { manifest, seen: Arc::default() }
    }
}

impl SpeechModel for Tones {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn check(&self, utterance: &Utterance<'_>) -> Result<(), SpeechError> {
        let text = utterance.text;
        if text.contains("ПРИВЕТ") {
            let sample = text.to_owned();
            return Err(SpeechError::UnsupportedScript { languages: "English".into(), sample });
        }
        assert!(!text.contains("trap"), "a check that panics");
        let speakable = text.chars().any(char::is_alphanumeric);
        if speakable { Ok(()) } else { Err(SpeechError::NothingToSpeak) }
    }

    fn speak(&self, utterance: &Utterance<'_>, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        self.seen.started.fetch_add(1, SeqCst);
        let pitch = if utterance.voice == "high" { 880.0 } else { 220.0 };
        let seconds = 1.0 / utterance.speed;
        for word in utterance.text.split_whitespace() {
            match word {
                "panic" => panic!("on purpose"),
                "fail" => return Err(SpeechError::Inference("on purpose".into())),
                "mute" => continue,
                "burn" => {
                    while !self.seen.released.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                }
                _ => {}
            }
            loop {
                if sink(&tone(pitch, seconds)) == ControlFlow::Break(()) {
                    self.seen.broken_off.fetch_add(1, SeqCst);
                    return Ok(());
                }
                if word != "spin" {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn tone(pitch: f32, seconds: f32) -> Vec<f32> {
    let step = std::f32::consts::TAU * pitch / RATE as f32;
    (0..(seconds * RATE as f32) as usize).map(|n| 0.5 * (n as f32 * step).sin()).collect()
}

/// A running server.
pub(crate) struct Running {
    pub(crate) speech: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<Result<(), std::io::Error>>,
}

pub(crate) fn limits() -> Limits {
    let args = Args::parse_from(["test", "--workers", "2", "--max-concurrency", "4"]);
    // On a loaded machine no file is sent early for want of time.
    let whole_wav_wait = Duration::from_secs(600);
    Limits { drain: Duration::from_secs(5), whole_wav_wait, ..Limits::new(&args) }
}

pub(crate) async fn start(limits: Limits) -> Running {
    let model = Tones::new();
    let seen = Arc::clone(&model.seen);
    let served = Served { model: Box::new(model), digest: "sha256:0".into() };
    let running = start_loading(limits, async { Ok(served) }, seen).await;
    until("the server is ready", async || get(running.health, "/readyz").await.status == 200).await;
    running
}

pub(crate) async fn start_loading(
    limits: Limits,
    load: impl Future<Output = Result<Served, std::io::Error>> + Send + 'static,
    seen: Arc<Seen>,
) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(any, any, limits).await.unwrap();
    let (speech, health) = (server.address(), server.health_address());
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.run(load, async { _ = stopped.await }));
    Running { speech, health, seen, stop: Some(stop), ended }
}

/// A request that keeps a thread busy until its client goes away.
pub(crate) async fn occupy(server: &Running) -> TcpStream {
    let before = server.seen.started.load(SeqCst);
    let socket = begin(server.speech, json!({"input": "spin", "response_format": "pcm"})).await;
    until("a thread is busy", async || server.seen.started.load(SeqCst) > before).await;
    socket
}

/// Waits for a condition, and fails if it does not come.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the answer came to the end that its headers announce.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["error_code"].as_str().unwrap_or_default().to_owned()
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut answer = Self { status, head, body: bytes[end + 4..].to_vec(), whole: false };
        if answer.header("transfer-encoding") == Some("chunked") {
            (answer.body, answer.whole) = unchunk(&answer.body);
        } else {
            let length = answer.header("content-length").map(|length| length.parse().unwrap());
            answer.whole = length == Some(answer.body.len());
        }
        answer
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(..size + 2) else { return (body, false) };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[size + 2..];
    }
}

/// Sends bytes and reads until the server closes.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    read_answer(&mut socket).await
}

pub(crate) async fn read_answer(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is an end like any other.
    _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut bytes)).await.unwrap();
    Answer::parse(&bytes)
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").as_bytes()).await
}

pub(crate) fn post(body: impl AsRef<[u8]>, headers: &str) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST /v1/audio/speech HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) const JSON: &str = "content-type: application/json\r\n";

pub(crate) async fn say(address: SocketAddr, body: serde_json::Value) -> Answer {
    exchange(address, &post(body.to_string(), JSON)).await
}

/// Sends a request and keeps the socket, reading nothing.
pub(crate) async fn begin(address: SocketAddr, body: serde_json::Value) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&post(body.to_string(), JSON)).await.unwrap();
    socket
}

pub(crate) const IN_FLIGHT: &str = "ttsfleet_requests_in_flight";
pub(crate) const WAITING: &str = "ttsfleet_queue_depth";
pub(crate) const BREAKER: &str = "ttsfleet_queue_breaker_open";

/// The value of one line of `/metrics`.
pub(crate) async fn metric(health: SocketAddr, line: &str) -> f64 {
    let text = String::from_utf8(get(health, "/metrics").await.body).unwrap();
    let found = text.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

/// The events of a `text/event-stream`.
pub(crate) fn events(answer: &Answer) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    events.map(|event| serde_json::from_str(event).unwrap()).collect()
}
