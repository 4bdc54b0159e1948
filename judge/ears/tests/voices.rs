//! The built-in voice, sound and with one fault each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::LazyLock;

use rstest::rstest;
use ttsfleet_e2e::variants;
use ttsfleet_ears::prosody::{self, Contour};
use ttsfleet_ears::{Clip, Mos};
use ttsfleet_models::{ModelFolder, Utterance};

const TEXTS: [&str; 3] = [
    "How far is it to the nearest hospital?",
    "She put the letter on the table and walked out without a word.",
    "Press one for sales, two for service, or stay on the line.",
];

static SOUND: LazyLock<Vec<Clip>> = LazyLock::new(|| speak("better"));

fn speak(version: &'static str) -> Vec<Clip> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("voices");
    let variant = variants::write_folders(&[version], &folder).unwrap().remove(0);
    let voice = ttsfleet_models::load(&ModelFolder::open(&variant.folder).unwrap()).unwrap();
    let speak = |text| {
        let mut samples = Vec::new();
        let utterance = Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] };
        let mut sink = |part: &[f32]| {
            samples.extend_from_slice(part);
            ControlFlow::Continue(())
        };
        voice.speak(&utterance, &mut sink).unwrap();
        Clip { samples, rate: voice.manifest().sample_rate }
    };
    TEXTS.into_iter().map(speak).collect()
}

/// Mean distance from the sound voice.
fn distance(clips: &[Clip]) -> f32 {
    let pairs = SOUND.iter().zip(clips);
    let contours = pairs.map(|(sound, clip)| [sound, clip].map(prosody::analyse));
    let distances = contours.map(|[a, b]: [Contour; 2]| prosody::distance(&a, &b).total);
    distances.sum::<f32>() / clips.len() as f32
}

fn changed(change: impl Fn(&Clip) -> Vec<f32>) -> Vec<Clip> {
    SOUND.iter().map(|clip| Clip { samples: change(clip), rate: clip.rate }).collect()
}

/// Clearly within the default gate of 0.25.
const NEAR: f32 = 0.15;
/// Clearly outside it.
const FAR: f32 = 0.35;

#[test]
fn what_is_said_alike_is_near() {
    assert!(distance(&speak("equal")) < 1e-3);
    let lower: Vec<Clip> = SOUND.iter().map(|clip| clip.at(16_000).into_owned()).collect();
    assert!(distance(&lower) < 0.05);
    let later = changed(|clip| [&[0.0; 9_600][..], &clip.samples].concat());
    assert!(distance(&later) < NEAR);
    let mut state = 1_u32;
    let mut hiss = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 3e-4
    };
    let noisier = SOUND.iter().map(|clip| {
        let samples = clip.samples.iter().map(|sample| sample + hiss()).collect();
        Clip { samples, rate: clip.rate }
    });
    assert!(distance(&noisier.collect::<Vec<_>>()) < NEAR);
}

#[rstest]
#[case("wrong-melody")]
#[case("monotone")]
#[case("wrong-pitch")]
#[case("fast")]
#[case("dropped-phonemes")]
#[case("silent")]
fn a_fault_in_the_voice_is_far(#[case] version: &'static str) {
    let found = distance(&speak(version));
    assert!(found > FAR, "{found}");
}

#[test]
fn higher_and_faster_by_an_eighth_and_half_of_it_missing_are_far() {
    let eighth =
        changed(|clip| Clip { rate: clip.rate * 9 / 8, ..clip.clone() }.at(clip.rate).into_owned().samples);
    assert!(distance(&eighth) > FAR, "{}", distance(&eighth));
    let half = changed(|clip| clip.samples[..clip.samples.len() / 2].to_vec());
    assert!(distance(&half) > FAR, "{}", distance(&half));
}

#[test]
fn noise_costs_opinion_score_and_a_wrong_melody_hardly_does() {
    let mos = Mos::load().unwrap();
    let mean = |clips: &[Clip]| clips.iter().map(|clip| mos.score(clip).unwrap()).sum::<f32>() / 3.0;
    let sound = mean(&SOUND);
    assert!(sound > 3.8, "{sound}");
    let noisy = mean(&changed(|clip| {
        let steps = |n: usize| ((n * 7919 % 101) as f32 / 50.0 - 1.0) * 0.1;
        clip.samples.iter().enumerate().map(|(n, sample)| sample + steps(n)).collect()
    }));
    assert!(sound - noisy > 0.5, "{sound} {noisy}");
    let melody = mean(&speak("wrong-melody"));
    assert!((sound - melody).abs() < 0.2, "{sound} {melody}");
}
