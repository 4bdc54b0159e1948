//! The fleet speaks, and a real recogniser understands it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;

use support::{Namespace, cluster};
use ttsfleet_e2e::product::speak;
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::recogniser::{Recogniser, character_error_rate};
use ttsfleet_e2e::target::Target;

/// Written as they are spoken, so that the recogniser's spelling can match.
const SENTENCES: [&str; 21] = [
    "Every request gets an answer, and every answer can be heard.",
    "The quick brown fox jumps over the lazy dog.",
    "Please call me back tomorrow morning before nine.",
    "The weather will be sunny with a light wind from the west.",
    "She opened the window and looked at the quiet street.",
    "We need three more chairs for the meeting this afternoon.",
    "The train to the city leaves from the second platform.",
    "He bought a loaf of bread, some butter and a bottle of milk.",
    "Children were playing football in the park behind the school.",
    "The doctor said that you should rest for a few days.",
    "My brother works in a large hospital near the river.",
    "It is never too late to learn something new.",
    "The old bridge was closed because of the heavy rain.",
    "Turn left at the traffic light and drive straight ahead.",
    "They have lived in this house for more than twenty years.",
    "The music was so loud that nobody could hear the phone.",
    "A good book can change the way you see the world.",
    "The company will open a new office next summer.",
    "I would like a cup of coffee and a glass of water.",
    "The mountain was covered with fresh white snow.",
    "Thank you for your help, and have a nice evening.",
];

/// Measured .021 on average and .158 at worst over these sentences; the
/// recogniser's own errors are part of it.
const MEAN_ERROR_LIMIT: f64 = 0.08;
const WORST_ERROR_LIMIT: f64 = 0.35;

/// Longest pause inside a sentence, in samples at 24 kHz: 0.8 s.
const LONGEST_SILENCE: usize = 19_200;

fn samples(wav: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(wav).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (24_000, 1, 16));
    reader.samples().map(Result::unwrap).collect()
}

fn longest_silence(samples: &[i16]) -> usize {
    let (mut longest, mut current) = (0, 0);
    for sample in samples {
        current = if sample.unsigned_abs() < 330 { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest
}

#[test]
fn a_recogniser_reads_back_what_the_fleet_says() {
    let recogniser = Recogniser::ensure(&Console::default()).unwrap();
    let space = Namespace::fresh("speech");
    space.fleet("narrator", "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: \"1\"}}]}");
    space.wait_ready("narrator");

    let route = cluster().reach(&space.name, "narrator").unwrap();
    let file = std::env::temp_dir().join(format!("ttsfleet-speech-{}.wav", std::process::id()));
    let mut errors = Vec::new();
    for sentence in SENTENCES {
        let audio = speak(&route.url, sentence).unwrap();
        std::fs::write(&file, audio).unwrap();
        let samples = samples(&file);
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((3_000..32_767).contains(&peak), "peak {peak}: {sentence}");
        assert!(longest_silence(&samples) < LONGEST_SILENCE, "a long silence: {sentence}");

        let heard = recogniser.transcribe(&file).unwrap();
        let error = character_error_rate(sentence, &heard);
        println!("{error:.3}  {sentence}\n       {heard}");
        errors.push(error);
    }
    std::fs::remove_file(&file).unwrap();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let worst = errors.iter().copied().fold(0.0, f64::max);
    println!("character error rate: mean {mean:.3}, worst {worst:.3} over {} sentences", errors.len());
    assert!(mean < MEAN_ERROR_LIMIT, "mean {mean}");
    assert!(worst < WORST_ERROR_LIMIT, "worst {worst}");
}
