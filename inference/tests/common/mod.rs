//! A real server on loopback with a model of tones, and a plain client that
//! sends exactly the bytes it is told to.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod orders;

use std::{
    fs,
    net::SocketAddr,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use ttsfleet_inference::{
    MakeModel, ModelFailure, Models, Ports, Server,
    config::{Args, Limits},
    source::{Sources, SourcesConfig},
};
use ttsfleet_models::{
    AudioSink, FileEntry, FolderError, Manifest, ModelFolder, Part, Script, SpeechError, SpeechModel,
    Utterance, sha256_hex,
};
use ttsfleet_wire::{
    admin::ModelStatus,
    model::{ModelRecord, ModelSource},
};

pub(crate) const RATE: u32 = 24_000;

/// What the tone model has been doing, for tests to wait on.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) started: AtomicUsize,
    pub(crate) broken_off: AtomicUsize,
    /// Set by a test to end what burns.
    pub(crate) released: AtomicBool,
}

/// Speaks a tone for each word. Some words are commands: `spin`
/// speaks until nobody listens, `burn` computes until released, `panic` panics, `fail` fails, `mute` makes
/// nothing, `nan` gives numbers that are not audio; Cyrillic letters are left out.
pub(crate) struct Tones {
    manifest: Manifest,
    tone: Tone,
    seen: Arc<Seen>,
}

/// `tone.json` of a folder of tones.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tone {
    /// Hertz of the voice `low`; `high` is two octaves above.
    pitch: f32,
    /// Length of a word.
    seconds: f32,
    #[serde(default)]
    fault: Fault,
}

/// What is wrong with the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    #[default]
    None,
    RefusedAtLoad,
    PanicAtLoad,
    /// Until released.
    HangAtLoad,
    /// Once released.
    RefusedLate,
    Panic,
    Silent,
    Nan,
    Endless,
}

/// Makes models of tones from their folders.
pub(crate) fn make(seen: &Arc<Seen>) -> MakeModel {
    let seen = Arc::clone(seen);
    Arc::new(move |folder: &ModelFolder| {
        let tone: Tone = serde_json::from_slice(folder.bytes("tone.json")?)?;
        match tone.fault {
            Fault::RefusedAtLoad => return Err(FolderError::Weights("refused on purpose".to_owned())),
            Fault::PanicAtLoad => panic!("loading panics on purpose"),
            Fault::HangAtLoad | Fault::RefusedLate => {
                while !seen.released.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if tone.fault == Fault::RefusedLate {
                    return Err(FolderError::Weights("refused on purpose".to_owned()));
                }
            }
            _ => {}
        }
        let model = Tones { manifest: folder.manifest().clone(), tone, seen: Arc::clone(&seen) };
        Ok(Box::new(model) as Box<dyn SpeechModel>)
    })
}

/// What tones say of themselves, without files.
pub(crate) fn manifest(version: &str, rate: u32) -> Manifest {
    Manifest {
        family: "tones".into(),
        name: "tones".into(),
        version: version.into(),
        sample_rate: rate,
        languages: vec!["en-US".into()],
        voices: vec!["low".into(), "high".into()],
        licence: "Apache-2.0".into(),
        files: vec![],
    }
}

/// Writes a folder of tones, and answers its record, with its digest.
pub(crate) fn write_tones(dir: &Path, version: &str, rate: u32, tone: serde_json::Value) -> ModelRecord {
    let tone = tone.to_string();
    let file =
        FileEntry { path: "tone.json".into(), size: tone.len() as u64, sha256: sha256_hex(tone.as_bytes()) };
    let manifest = Manifest { files: vec![file], ..manifest(version, rate) };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("tone.json"), tone).unwrap();
    fs::write(dir.join("model.json"), &manifest).unwrap();
    let digest = Some(format!("sha256:{}", sha256_hex(&manifest)));
    let source = ModelSource { uri: format!("file://{}", dir.display()), digest, secret: None };
    ModelRecord { name: "tones".into(), version: version.into(), source: Some(source) }
}

impl SpeechModel for Tones {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&self, utterance: &Utterance<'_>) -> Result<Script, SpeechError> {
        let text = utterance.text;
        assert!(!text.contains("trap"), "a check that panics");
        let Utterance { voice, speed, .. } = *utterance;
        let skipped_chars = text.chars().filter(|c| ('А'..='я').contains(c)).count();
        let spelling = text.replace(|c| ('А'..='я').contains(&c), "");
        let part = match spelling.contains(char::is_alphanumeric) {
            true => Part::Line { spelling, speed },
            false => Part::Pause(Duration::from_millis(300)),
        };
        Ok(Script { parts: vec![part], voice: voice.to_owned(), skipped_chars })
    }

    fn say(&self, script: &Script, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        self.seen.started.fetch_add(1, SeqCst);
        let pitch = if script.voice == "high" { 4.0 * self.tone.pitch } else { self.tone.pitch };
        let Part::Line { spelling, speed } = &script.parts[0] else {
            let silence = script.silence().as_secs_f32() * self.manifest.sample_rate as f32;
            _ = sink(&vec![0.0; silence as usize]);
            return Ok(());
        };
        let samples = (self.tone.seconds / speed * self.manifest.sample_rate as f32) as usize;
        let mut audio = tone(pitch, self.manifest.sample_rate, samples);
        match self.tone.fault {
            Fault::Panic => panic!("speaking panics on purpose"),
            Fault::Silent => audio.fill(0.0),
            Fault::Nan => audio.fill(f32::NAN),
            _ => {}
        }
        for word in spelling.split_whitespace() {
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
                if sink(&audio) == ControlFlow::Break(()) {
                    self.seen.broken_off.fetch_add(1, SeqCst);
                    return Ok(());
                }
                if word != "spin" && self.tone.fault != Fault::Endless {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn tone(pitch: f32, rate: u32, samples: usize) -> Vec<f32> {
    let step = std::f32::consts::TAU * pitch / rate as f32;
    (0..samples).map(|n| 0.5 * (n as f32 * step).sin()).collect()
}

/// A running server.
pub(crate) struct Running {
    pub(crate) speech: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) ended: JoinHandle<Result<(), ModelFailure>>,
    /// For model folders; the first one is in `1`.
    pub(crate) folder: TempDir,
}

/// The admin API's token in tests.
pub(crate) const TOKEN: &str = "open sesame";

pub(crate) fn limits() -> Limits {
    let args = Args::parse_from(["test", "--workers", "2", "--max-concurrency", "4"]);
    // On a loaded machine no file is sent early for want of time.
    let whole_wav_wait = Duration::from_secs(600);
    // Threads that burn do so at the same time, whatever the machine.
    let cores = 64;
    Limits { cores, drain: Duration::from_secs(5), whole_wav_wait, ..Limits::new(&args) }
}

/// A server with tones of 220 Hz, one second a word.
pub(crate) async fn start(limits: Limits) -> Running {
    start_with(limits, json!({"pitch": 220.0, "seconds": 1.0}), |_| {}).await
}

/// A ready server with such tones, and its models made as changed.
pub(crate) async fn start_with(
    limits: Limits,
    tone: serde_json::Value,
    change: impl FnOnce(&mut Models),
) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let first = write_tones(&folder.path().join("1"), "1", RATE, tone);
    let seen = Arc::default();
    let mut models = models(&folder, &seen);
    change(&mut models);
    let running = start_loading(limits, models, first, seen, folder).await;
    until("the server is ready", async || get(running.health, "/readyz").await.status == 200).await;
    // The check sentences do not count.
    running.seen.started.store(0, SeqCst);
    running
}

pub(crate) fn models(folder: &TempDir, seen: &Arc<Seen>) -> Models {
    let store = Some(folder.path().join("store"));
    let sources = Sources::new(SourcesConfig { store, ..SourcesConfig::default() });
    Models { make: make(seen), ..Models::new(sources) }
}

/// A server that is loading its first model.
pub(crate) async fn start_loading(
    limits: Limits,
    models: Models,
    first: ModelRecord,
    seen: Arc<Seen>,
    folder: TempDir,
) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let token = sha256_hex(TOKEN.as_bytes()).parse().unwrap();
    let ports = Ports { speech: any, health: any, admin: Some((any, token)) };
    let server = Server::bind(&ports, limits, Some("the tests".to_owned())).await.unwrap();
    let (speech, health) = (server.address(), server.health_address());
    let admin = server.admin_address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.run(models, first, async { _ = stopped.await }));
    Running { speech, health, admin, seen, stop: Some(stop), ended, folder }
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
    /// What came behind the last chunk.
    pub(crate) trailer: String,
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
        let mut answer =
            Self { status, head, body: bytes[end + 4..].to_vec(), whole: false, trailer: String::new() };
        if answer.header("transfer-encoding") == Some("chunked") {
            let (body, trailer) = unchunk(&answer.body);
            (answer.body, answer.whole) = (body, trailer.is_some());
            answer.trailer = trailer.unwrap_or_default();
        } else {
            let length = answer.header("content-length").map(|length| length.parse().unwrap());
            answer.whole = length == Some(answer.body.len());
        }
        answer
    }
}

/// The body, and the trailer if it has come to that.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, None) };
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (body, Some(String::from_utf8(rest.to_vec()).unwrap()));
        }
        let Some(chunk) = rest.get(..size + 2) else { return (body, None) };
        body.extend_from_slice(&chunk[..size]);
        rest = &rest[size + 2..];
    }
}

/// The length that a WAV file says its samples have, and their bytes.
pub(crate) fn wav_data(file: &[u8]) -> (u32, &[u8]) {
    let mut at = 12;
    loop {
        let length = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap());
        if file[at..].starts_with(b"data") {
            return (length, &file[at + 8..]);
        }
        at += 8 + length.next_multiple_of(2) as usize;
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

/// Asks the admin API; without a body, that is `null`.
pub(crate) async fn admin(server: &Running, order: &str, body: serde_json::Value) -> Answer {
    let headers = format!("{JSON}authorization: Bearer {TOKEN}\r\n");
    ask_admin(server, &headers, order, body).await
}

pub(crate) async fn ask_admin(
    server: &Running,
    headers: &str,
    order: &str,
    body: serde_json::Value,
) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!("{order} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    exchange(server.admin, request.as_bytes()).await
}

/// What the server says of its models.
pub(crate) async fn status(server: &Running) -> ModelStatus {
    let answer = admin(server, "GET /v1/model", serde_json::Value::Null).await;
    serde_json::from_slice(&answer.body).unwrap()
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
