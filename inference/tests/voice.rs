//! The voice built in, through the server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::{fs, path::Path, sync::Arc};

use common::{
    JSON, RATE, Running, admin, exchange, get, limits, models, post, say, start_loading, status, until,
};
use serde_json::{Value, json};
use ttsfleet_inference::Models;
use ttsfleet_models::sha256_hex;
use ttsfleet_wire::{
    audio::AudioFormat,
    model::{ModelRecord, ModelSource},
};

/// Between sentences, 0.55 to 0.87 s were measured.
const LONGEST_SILENCE: f32 = 1.0;
/// −46 dB; quieter is silence.
const SILENCE: f32 = 0.005;

fn longest_silence(samples: &[f32]) -> f32 {
    let window = RATE as usize / 100;
    let loud = |window: &[f32]| window.iter().any(|sample| sample.abs() > SILENCE);
    let (mut longest, mut run) = (0, 0);
    for window in samples.chunks(window) {
        run = if loud(window) { 0 } else { run + 1 };
        longest = longest.max(run);
    }
    longest as f32 / 100.0
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::default();
    let models = Models { make: Arc::new(ttsfleet_models::load), ..models(&folder, &seen) };
    let server = start_loading(limits(), models, ModelRecord::default(), seen, folder).await;
    until("the voice is loaded", async || get(server.health, "/readyz").await.status == 200).await;
    server
}

/// What lets an answer that broke off be gone on with.
#[tokio::test]
async fn two_servers_that_are_told_the_same_send_the_same_bytes() {
    let servers = [start().await, start().await];
    let input = "It costs $5.20, and no more. The river runs past the old mill and under the bridge.";
    let formats = AudioFormat::ALL.map(|format| json!({"response_format": format.name()}));
    let others = [
        json!({"response_format": "mp3", "stream_format": "sse"}),
        json!({"response_format": "opus", "sample_rate": 16_000, "speed": 1.5}),
    ];
    for mut order in formats.into_iter().chain(others) {
        let wanted = order.to_string();
        order["input"] = json!(input);
        let mut sent = Vec::new();
        // A WAV of known length comes in one piece, of which nothing can break off.
        let is_wav = order["response_format"] == "wav";
        for (server, is_resumed) in servers.iter().zip([is_wav, true]) {
            let headers = format!(
                "{JSON}x-request-id: same\r\nx-tts-came-at: 1800000000\r\nx-tts-resumed: {is_resumed}\r\n"
            );
            sent.push(exchange(server.speech, &post(order.to_string(), &headers)).await);
        }
        assert!(sent.iter().all(|answer| answer.status == 200 && answer.whole), "{wanted}");
        assert!(sent[0].body == sent[1].body, "{wanted}");
    }
}

#[tokio::test]
async fn the_built_in_voice_speaks_clearly_and_is_silent_where_there_are_no_words() {
    let server = start().await;
    let input = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April.";
    let answer = say(server.speech, json!({"input": input, "response_format": "wav"})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let u32_at = |at: usize| u32::from_le_bytes(answer.body[at..at + 4].try_into().unwrap());
    let (length, data) = common::wav_data(&answer.body);
    assert_eq!((u32_at(24), length as usize), (RATE, data.len()));
    let samples: Vec<f32> = data
        .chunks(2)
        .map(|two| f32::from(i16::from_le_bytes([two[0], two[1]])) / f32::from(i16::MAX))
        .collect();
    let seconds = samples.len() as f32 / RATE as f32;
    assert!((3.0..9.0).contains(&seconds), "{seconds} s");
    let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    assert!((0.1..1.0).contains(&peak), "peak {peak}");
    let silence = longest_silence(&samples);
    assert!(silence <= LONGEST_SILENCE, "{silence} s of silence");

    let faster = say(server.speech, json!({"input": input, "response_format": "wav", "speed": 2.0})).await;
    let ratio = answer.body.len() as f32 / faster.body.len() as f32;
    assert!((1.6..2.4).contains(&ratio), "twice the speed is {ratio} times as short");

    for (input, skipped) in [("!?", None), ("😀", None), ("你好", Some("2")), ("<speak><s/></speak>", None)]
    {
        let silent = say(server.speech, json!({"input": input, "response_format": "pcm"})).await;
        assert_eq!((silent.status, silent.header("x-tts-no-words")), (200, Some("true")), "{input}");
        assert_eq!(silent.header("x-tts-skipped-chars"), skipped);
        assert!(silent.body.len() == RATE as usize * 6 / 10 && silent.body.iter().all(|byte| *byte == 0));
    }
}

#[tokio::test]
async fn a_word_is_said_as_the_request_says() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::default();
    let models = Models { make: Arc::new(ttsfleet_models::load), ..models(&folder, &seen) };
    let server = start_loading(limits(), models, ModelRecord::default(), seen, folder).await;
    until("the voice is loaded", async || get(server.health, "/readyz").await.status == 200).await;
    let said = async |input: &str, lexicon: Value| {
        let body = json!({"input": input, "response_format": "pcm", "lexicon": lexicon});
        let answer = say(server.speech, body).await;
        assert_eq!((answer.status, answer.header("x-tts-ignored")), (200, None), "{}", answer.head);
        answer.body
    };
    let written = said("Use kubectl.", Value::Null).await;
    let respelled = said("Use KUBECTL.", json!({"kubectl": "cube control"})).await;
    assert!(respelled == said("Use cube control.", Value::Null).await && respelled != written);
    let phonemes = said("Use kubectl.", json!({"kubectl": "/ˈkjuːb/"})).await;
    assert!(phonemes.len() < respelled.len());
    assert!(said("Use kubectl.", json!({"kubectl": "/ǃ/"})).await == written, "the voice does not click");
}

/// The same voice as files, under another version.
fn write_voice(folder: &Path, version: &str) -> ModelRecord {
    ttsfleet_voice::write_to(folder).unwrap();
    let path = folder.join("model.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    manifest["version"] = version.into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    fs::write(&path, &bytes).unwrap();
    let digest = Some(format!("sha256:{}", sha256_hex(&bytes)));
    let source = ModelSource { uri: format!("file://{}", folder.display()), digest, secret: None };
    let name = manifest["name"].as_str().unwrap().to_owned();
    ModelRecord { name, version: version.into(), source: Some(source) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_version_of_a_voice_gives_its_place_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["1", "2"].map(|version| write_voice(&folder.path().join(version), version));
    let seen = Arc::default();
    let models = Models { make: Arc::new(ttsfleet_models::load), ..models(&folder, &seen) };
    let server = start_loading(limits(), models, one, seen, folder).await;
    until("the voice is loaded", async || get(server.health, "/readyz").await.status == 200).await;
    let order = json!({"record": two, "headroom": "Overlap"});
    assert_eq!(admin(&server, "POST /v1/model/swap", order).await.status, 202);
    until("it is swapped", async || {
        let answer = say(server.speech, json!({"input": "Hello there.", "response_format": "pcm"})).await;
        assert!(answer.status == 200 && answer.whole, "{}", answer.head);
        answer.header("x-tts-digest") == two.source.as_ref().unwrap().digest.as_deref()
    })
    .await;
    let said = status(&server).await;
    assert_eq!((said.serving.unwrap().version, said.previous.unwrap().version), ("2".into(), "1".into()));
    assert_eq!(admin(&server, "POST /v1/model/free", Value::Null).await.status, 202);
    until("the old one is gone", async || status(&server).await.previous.is_none()).await;
    assert_eq!(status(&server).await.error, None);
}
