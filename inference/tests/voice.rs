//! The voice built in, through the server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io;

use common::{RATE, get, limits, say, start_loading, until};
use serde_json::json;
use ttsfleet_inference::source::{Patience, Source, load};
use ttsfleet_wire::model::ModelRecord;

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

#[tokio::test]
async fn the_built_in_voice_speaks_clearly_and_refuses_what_it_cannot_read() {
    let record = ModelRecord { name: String::new(), version: String::new(), source: None };
    let source = Source { record, store: None, patience: Patience::default() };
    let voice = async { load(source).await.map_err(io::Error::other) };
    let server = start_loading(limits(), voice, Default::default()).await;
    until("the voice is loaded", async || get(server.health, "/readyz").await.status == 200).await;

    let input = "The quick brown fox jumps over the lazy dog. It was a bright cold day in April.";
    let answer = say(server.speech, json!({"input": input, "response_format": "wav"})).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let u32_at = |at: usize| u32::from_le_bytes(answer.body[at..at + 4].try_into().unwrap());
    assert_eq!((u32_at(24), u32_at(40) as usize), (RATE, answer.body.len() - 44));
    let samples: Vec<f32> = answer.body[44..]
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

    for input in ["!?", "你好", "ПРИВЕТ"] {
        let refused = say(server.speech, json!({"input": input})).await;
        assert_eq!((refused.status, refused.error_code().as_str()), (400, "UnsupportedText"), "{input}");
    }
}
