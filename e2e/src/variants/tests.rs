use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ttsfleet_models::{FolderError, ModelFolder, SpeechError, SpeechModel, Utterance, load};

use super::*;

const TEXT: &str = "The harbour froze in the first week of March.";
const RATE: usize = 24_000;

fn written(version: &str) -> (tempfile::TempDir, Variant) {
    let parent = tempfile::tempdir().unwrap();
    let variant = write_folders(&[version], parent.path()).unwrap().remove(0);
    (parent, variant)
}

fn loaded(version: &str) -> Box<dyn SpeechModel> {
    let (_parent, variant) = written(version);
    let folder = ModelFolder::open(&variant.folder).unwrap();
    assert_eq!(folder.digest(), variant.digest, "{version}");
    let manifest = folder.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), (MODEL, version));
    load(&folder).unwrap()
}

fn built_in() -> Box<dyn SpeechModel> {
    load(&ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()).unwrap()
}

fn speak(model: &dyn SpeechModel, text: &str) -> Result<Vec<f32>, SpeechError> {
    let mut samples = Vec::new();
    let utterance = Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] };
    model.speak(&utterance, &mut |piece| {
        samples.extend_from_slice(piece);
        ControlFlow::Continue(())
    })?;
    Ok(samples)
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

/// Pitches of the frames that have one, in Hz.
fn pitches(samples: &[f32]) -> Vec<f32> {
    let pitch = |frame: &[f32]| {
        let alike = |lag: usize| {
            let (a, b) = (&frame[..frame.len() - lag], &frame[lag..]);
            let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            product / (power(a) * power(b)).sqrt().max(1e-9) / a.len() as f32
        };
        let best = (RATE / 400..RATE / 80).max_by(|a, b| alike(*a).total_cmp(&alike(*b)))?;
        (alike(best) > 0.8 && power(frame) > 1e-4).then(|| RATE as f32 / best as f32)
    };
    samples.chunks_exact(RATE / 20).filter_map(pitch).collect()
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

/// Share of pitches that are further than a semitone from the median.
fn liveliness(samples: &[f32]) -> f32 {
    let pitches = pitches(samples);
    let middle = median(pitches.clone());
    let far = pitches.iter().filter(|pitch| (*pitch / middle).log2().abs() > 1.0 / 12.0).count();
    far as f32 / pitches.len() as f32
}

#[test]
fn equal_versions_speak_the_very_same_samples() {
    let expected = speak(&*built_in(), TEXT).unwrap();
    for version in ["equal", "better", "slow"] {
        assert!(speak(&*loaded(version), TEXT).unwrap() == expected, "{version}");
    }
    let digests: BTreeMap<_, _> =
        ["equal", "better"].map(|version| (written(version).1.digest, version)).into();
    assert_eq!(digests.len(), 2, "they are different models all the same");
}

#[test]
fn each_fault_can_be_heard() {
    let sound = speak(&*built_in(), TEXT).unwrap();
    let with = |version| speak(&*loaded(version), TEXT).unwrap();
    let length = |samples: &[f32]| samples.len() as f32 / sound.len() as f32;

    // Its first sound is another one, so that it may begin some samples sooner or later.
    let noisy = with("noisy");
    let apart = |a: &[f32], b: &[f32]| power(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>());
    let shifted = |shift: usize| apart(&noisy[shift..], &sound).min(apart(&noisy, &sound[shift..]));
    let noise = (0..RATE / 400).map(shifted).fold(f32::INFINITY, f32::min) / power(&sound);
    assert!(
        (0.99..1.01).contains(&length(&noisy)) && noise > 0.05,
        "noise {noise}, length {}",
        length(&noisy)
    );

    let (flat, lively) = (liveliness(&with("monotone")), liveliness(&sound));
    assert!(flat < 0.1 && lively > 0.3, "monotone {flat}, sound {lively}");
    let higher = median(pitches(&with("wrong-pitch"))) / median(pitches(&sound));
    assert!((1.2..1.6).contains(&higher), "pitch {higher}");

    let fast = length(&with("fast"));
    assert!((0.4..0.8).contains(&fast), "length {fast}");
    let dropped = length(&with("dropped-phonemes"));
    assert!((0.3..0.95).contains(&dropped), "length {dropped}");
    assert!(power(&with("silent")) < 1e-8);
    let truncated = with("truncated");
    assert!(truncated == sound[..sound.len() / 2]);
    let late = with("late-start");
    assert!(late[..RATE].iter().all(|sample| *sample == 0.0) && late[RATE..] == sound);
    let wrong = with("wrong-melody");
    assert!((0.9..1.1).contains(&length(&wrong)) && wrong != sound, "the melody is another one");
}

#[test]
fn a_failing_voice_fails_some_texts_and_speaks_the_others() {
    let failing = loaded("failing");
    assert!(speak(&*failing, TEXT).unwrap() == speak(&*built_in(), TEXT).unwrap());
    let error = speak(&*failing, "They usually agree.").unwrap_err();
    assert!(matches!(error, SpeechError::Inference(_)), "{error}");
}

#[test]
fn folders_that_are_not_to_be_used_are_refused() {
    let (_parent, unloadable) = written("unloadable");
    let error = load(&ModelFolder::open(&unloadable.folder).unwrap()).err().unwrap();
    assert!(matches!(error, FolderError::Weights(_)), "{error}");
    let (_parent, altered) = written("altered");
    let error = ModelFolder::open(&altered.folder).unwrap_err();
    assert!(matches!(error, FolderError::Altered { .. }), "{error}");
}

#[test]
fn servers_without_faults_are_asked_for_no_faulty_family() {
    let faulty = plain().filter(|version| {
        let (_parent, variant) = written(version);
        std::fs::read_to_string(variant.folder.join("model.json")).unwrap().contains("\"faulty\"")
    });
    assert_eq!(faulty.count(), 0);
    assert!(plain().count() > 10);
}

#[test]
fn an_unknown_variant_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let error = write_folders(&["parrot"], parent.path()).unwrap_err().to_string();
    assert!(error.contains("parrot"), "{error}");
}
