//! Character error rates beside those of Python's jiwer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use ttsfleet_e2e::{progress::Silent, python};
use ttsfleet_judge::{
    cer::error_rate,
    normalise::{Script, normalise},
};

const VERSION: &str = "4.0.0";
const SCRIPT: &str = "import json, sys, jiwer\n\
    print(json.dumps([jiwer.cer(meant, heard) for meant, heard in json.load(sys.stdin)]))";
const EDITS: usize = 600;

/// What a recogniser might make of a text: some characters gone, changed, added.
fn misheard(text: &str, random: &mut SmallRng) -> String {
    let letters: Vec<char> = text.chars().collect();
    let share = random.random_range(0.0..0.5);
    let mut heard = String::new();
    for letter in &letters {
        let other = letters[random.random_range(0..letters.len())];
        match random.random_bool(share).then(|| random.random_range(0..3)) {
            None => heard.push(*letter),
            Some(0) => {}
            Some(1) => heard.push(other),
            Some(_) => heard.extend([*letter, other]),
        }
    }
    heard
}

#[test]
fn rates_are_those_of_jiwer() {
    let mut random = SmallRng::seed_from_u64(11);
    let texts = [
        "The old lighthouse keeper watched the storm roll across the bay.",
        "It's 21st-century jazz: $3.50 a ticket!",
        "今天下午我们去公园散步，好不好？",
        "他在2026年买了25本书。",
    ];
    let pairs: Vec<(String, String)> = (0..EDITS)
        .map(|number| {
            let meant = normalise(texts[number % texts.len()], Script::of(texts[number % texts.len()]));
            let heard = misheard(&meant, &mut random);
            // jiwer trims what it is given.
            let heard = heard.split_whitespace().collect::<Vec<_>>().join(" ");
            (meant, heard)
        })
        .collect();
    let folder = python::package("jiwer", VERSION, &Silent).unwrap();
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(&pairs).unwrap();
    python.stdin.take().unwrap().write_all(&input).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs: Vec<f64> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(theirs.len(), EDITS);
    for ((meant, heard), theirs) in pairs.iter().zip(theirs) {
        let ours = error_rate(meant, heard).unwrap();
        assert!((ours - theirs).abs() < 1e-9, "{meant:?}, {heard:?}: {ours}, jiwer {theirs}");
    }
}
