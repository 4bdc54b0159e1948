//! The default voice through the public interface: what a server relies on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, ops::ControlFlow, path::Path};

use serde_json::Value;
use ttsfleet_models::{
    FolderError, ModelFolder, Part, SpeechError, SpeechModel, Utterance, load, sha256_hex,
};

const RATE: usize = 24_000;

fn embedded() -> ModelFolder {
    ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()
}

fn voice() -> Box<dyn SpeechModel> {
    load(&embedded()).unwrap()
}

fn utterance(text: &str) -> Utterance<'_> {
    Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] }
}

/// Everything the sink is given, call by call.
fn pieces(model: &dyn SpeechModel, utterance: &Utterance<'_>) -> Vec<Vec<f32>> {
    let mut pieces = Vec::new();
    let mut sink = |samples: &[f32]| {
        pieces.push(samples.to_vec());
        ControlFlow::Continue(())
    };
    model.speak(utterance, &mut sink).unwrap();
    pieces
}

fn refusal(model: &dyn SpeechModel, utterance: &Utterance<'_>) -> SpeechError {
    let spoken = model.speak(utterance, &mut |_| panic!("spoke although it cannot"));
    assert_eq!(spoken.unwrap_err().to_string(), model.read(utterance).unwrap_err().to_string());
    model.read(utterance).unwrap_err()
}

/// Writes the voice to disk, changes one file and mends the manifest, as
/// someone who controls the source of a model could.
fn forged(dir: &Path, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> ModelFolder {
    ttsfleet_voice::write_to(dir).unwrap();
    let bytes = change(fs::read(dir.join(name)).unwrap());
    let mut manifest: Value = serde_json::from_slice(&fs::read(dir.join("model.json")).unwrap()).unwrap();
    for entry in manifest["files"].as_array_mut().unwrap() {
        if entry["path"] == name {
            entry["size"] = bytes.len().into();
            entry["sha256"] = sha256_hex(&bytes).into();
        }
    }
    fs::write(dir.join(name), bytes).unwrap();
    fs::write(dir.join("model.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    ModelFolder::open(dir).unwrap()
}

#[test]
fn the_embedded_voice_says_what_it_is() {
    let model = voice();
    let manifest = model.manifest();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("hibari", "0.2.1"));
    assert_eq!((manifest.sample_rate, manifest.licence.as_str()), (24_000, "Apache-2.0"));
    assert_eq!(
        (&manifest.voices[..], &manifest.languages[..]),
        (&["heart".to_owned()][..], &["en-US".to_owned()][..])
    );
}

#[test]
fn the_voice_on_disk_has_the_digest_of_the_embedded_one() {
    let dir = tempfile::tempdir().unwrap();
    ttsfleet_voice::write_to(dir.path()).unwrap();
    assert_eq!(ModelFolder::open(dir.path()).unwrap().digest(), embedded().digest());
}

#[test]
fn a_sentence_is_audible_unclipped_and_starts_and_ends_softly() {
    let sound = pieces(&*voice(), &utterance("The harbour froze in the first week of March.")).concat();
    let seconds = sound.len() as f32 / RATE as f32;
    assert!((2.0..5.0).contains(&seconds), "{seconds} s");
    let peak = sound.iter().fold(0.0, |peak: f32, sample| peak.max(sample.abs()));
    assert!((0.1..1.0).contains(&peak), "peak {peak}");
    let power = sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32;
    assert!(power.sqrt() > 0.02, "rms {}", power.sqrt());
    assert_eq!((sound.first(), sound.last()), (Some(&0.0), Some(&0.0)));
}

#[test]
fn the_same_text_gives_the_same_samples_on_every_thread() {
    let model = voice();
    let once = pieces(&*model, &utterance("Hello there."));
    std::thread::scope(|scope| {
        let others = [(); 3].map(|()| scope.spawn(|| pieces(&*model, &utterance("Hello there."))));
        for other in others {
            assert!(other.join().unwrap() == once, "another thread made other samples");
        }
    });
}

#[test]
fn speed_is_kept_to_over_its_whole_range() {
    let model = voice();
    let text = utterance("People walked across the ice to buy bread. The ferries had stopped.");
    // The silence around the voice is the same at any speed.
    let around = 0.18;
    let seconds = |speed| {
        let sound = pieces(&*model, &Utterance { speed, ..text.clone() }).concat();
        sound.len() as f32 / RATE as f32 - around
    };
    let normal = seconds(1.0);
    for speed in [0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0] {
        let kept = normal / seconds(speed) / speed;
        assert!((0.9..1.1).contains(&kept), "at {speed} it is {kept} times that");
    }
}

#[test]
fn at_any_speed_the_voice_is_as_smooth_and_comes_in_short_pieces() {
    let model = voice();
    let text = utterance("It was some time before anyone thought of looking in the cellar for the old lamp.");
    let steepest = |sound: &[f32]| sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    let normal = steepest(&pieces(&*model, &text).concat());
    for speed in [0.25, 0.5, 1.2, 2.0, 4.0] {
        let pieces = pieces(&*model, &Utterance { speed, ..text.clone() });
        assert!(pieces[0].len() <= RATE, "{} samples at first at {speed}", pieces[0].len());
        // What the decoder looks ahead comes with the last piece, and is drawn out too.
        let longest = 2.0 + 0.5 * (1.0 / speed).max(1.0);
        let seconds = |piece: &Vec<f32>| piece.len() as f32 / RATE as f32;
        assert!(pieces.iter().map(seconds).all(|piece| piece <= longest), "a long piece at {speed}");
        let step = steepest(&pieces.concat());
        assert!(step < 1.3 * normal, "a step of {step} at {speed}, of {normal} at 1.0");
    }
}

/// Runs of quiet samples of a fifth of a second and more, as (start, end).
fn pauses(sound: &[f32]) -> Vec<(usize, usize)> {
    let mut loud: Vec<usize> = (0..sound.len()).filter(|index| sound[*index].abs() >= 0.01).collect();
    loud.insert(0, 0);
    loud.push(sound.len());
    loud.windows(2).map(|two| (two[0], two[1])).filter(|(start, end)| end - start >= RATE / 5).collect()
}

#[test]
fn sentences_have_pauses_between_and_no_silence_around() {
    let sound = pieces(&*voice(), &utterance("First comes one. Then comes two. Last comes three.")).concat();
    let pauses = pauses(&sound);
    assert_eq!(pauses.len(), 2, "{pauses:?}");
    for (start, end) in pauses {
        assert!(start > RATE / 2 && end < sound.len() && end - start < RATE, "{start} to {end}");
    }
    let first = sound.iter().position(|sample| sample.abs() > 0.003).unwrap();
    assert!((RATE / 50..RATE / 25).contains(&first), "{first} samples before the first sound");
}

#[test]
fn the_first_piece_is_short_and_the_others_are_no_longer_than_two_seconds() {
    let text = "It was some time before anyone thought of looking in the cellar for the old lamp. \
                Nobody had lit it since the flood, and the wick was as dry as the day it was made.";
    let pieces = pieces(&*voice(), &utterance(text));
    assert!(pieces[0].len() <= RATE / 2, "{}", pieces[0].len());
    assert!(pieces.iter().all(|piece| piece.len() <= 2 * RATE + RATE / 2));
}

#[test]
fn a_long_sentence_arrives_in_pieces() {
    let long = "It was some time, after the lights had gone out and the last of the guests had found their coats, \
                before anyone thought of looking in the cellar for the old lamp that nobody had lit since the flood.";
    let pieces = pieces(&*voice(), &utterance(long));
    assert!(pieces.len() >= 2, "{} pieces", pieces.len());
    let joint = pieces[0].len();
    let sound = pieces.concat();
    let steps = |range: std::ops::Range<usize>| {
        sound[range].windows(2).fold(0.0, |max: f32, pair| max.max((pair[1] - pair[0]).abs()))
    };
    assert!(steps(joint - 2..joint + 2) <= steps(0..sound.len() / 2), "a click where two pieces meet");
}

#[test]
fn breaking_off_stops_the_speech() {
    let mut calls = 0;
    let text = utterance("One. Two. Three. Four. Five.");
    let spoken = voice().speak(&text, &mut |_| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(spoken.is_ok());
    assert_eq!(calls, 2);
}

#[test]
fn what_cannot_be_spoken_is_refused_before_any_sound() {
    let model = voice();
    let unknown = refusal(&*model, &Utterance { voice: "nobody", ..utterance("Hello.") });
    assert_eq!(unknown.to_string(), "unknown voice \"nobody\"; this model speaks with: heart");
}

/// Seconds of silence between the sounds of a text, longest first.
fn silences(sound: &[f32]) -> Vec<f32> {
    let runs = sound.split(|sample| sample.abs() > 0.003).map(|quiet| quiet.len() as f32 / RATE as f32);
    let mut runs: Vec<f32> = runs.collect();
    runs.sort_by(|one, other| other.total_cmp(one));
    runs
}

#[test]
fn a_text_without_words_is_a_short_silence() {
    for text in [".", "😀", " \n ", "你好"] {
        let script = voice().read(&utterance(text)).unwrap();
        assert!(!script.has_words(), "{text}");
        assert_eq!(pieces(&*voice(), &utterance(text)).concat(), [0.0; RATE * 3 / 10], "{text}");
    }
    assert!(pieces(&*voice(), &utterance("[pause:0.00001s]")).concat().len() >= RATE * 3 / 10);
}

#[test]
fn letters_that_the_voice_cannot_speak_are_left_out_and_counted() {
    let model = voice();
    let script = model.read(&utterance("Hello 世界.")).unwrap();
    assert_eq!((script.skipped_chars, &script.parts), (2, &model.read(&utterance("Hello .")).unwrap().parts));
}

#[test]
fn a_pause_lasts_as_long_as_it_says_from_sound_to_sound() {
    let model = voice();
    for text in ["One. [pause:2s] Two.", "<speak>One.<break time='2s'/>Two.</speak>"] {
        let silence = silences(&pieces(&*model, &utterance(text)).concat())[0];
        assert!((silence - 2.0).abs() < 0.01, "{text}: {silence} s");
    }
    let ends = pieces(&*model, &utterance("[pause:1500ms] One. [pause:1s]")).concat();
    let sounds = |sample: &f32| sample.abs() > 0.003;
    let before = ends.iter().position(sounds).unwrap() as f32 / RATE as f32;
    let after = ends.iter().rev().position(sounds).unwrap() as f32 / RATE as f32;
    assert!((before - 1.5).abs() < 0.01 && (after - 1.0).abs() < 0.01, "{before} s, {after} s");
}

#[test]
fn a_pause_can_be_broken_off_and_comes_in_pieces() {
    let mut calls = 0;
    let spoken = voice().speak(&utterance("[pause:10s]"), &mut |samples| {
        calls += 1;
        assert!(samples.len() <= RATE);
        if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(spoken.is_ok());
    assert_eq!(calls, 3);
}

#[test]
fn the_rate_of_a_part_is_that_of_the_text_times_its_own() {
    let text = "<speak>One <prosody rate='50%'>two</prosody> <prosody rate='10%'>three</prosody></speak>";
    let script = voice().read(&Utterance { speed: 2.0, ..utterance(text) }).unwrap();
    let speeds = script.parts.iter().map(|part| match part {
        Part::Line { speed, .. } => *speed,
        Part::Pause(_) => panic!("no pause was asked for"),
    });
    assert_eq!(speeds.collect::<Vec<_>>(), [2.0, 1.0, 0.25]);
}

#[test]
fn a_model_of_another_family_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    ttsfleet_voice::write_to(dir.path()).unwrap();
    let path = dir.path().join("model.json");
    let manifest =
        fs::read_to_string(&path).unwrap().replace("\"family\": \"hibari\"", "\"family\": \"parrot\"");
    fs::write(&path, manifest).unwrap();
    let error = load(&ModelFolder::open(dir.path()).unwrap()).err().unwrap();
    assert!(matches!(error, FolderError::UnknownFamily(family) if family == "parrot"));
}

#[test]
fn weights_of_the_wrong_shape_or_cut_short_are_refused_at_load() {
    let dir = tempfile::tempdir().unwrap();
    let error = |folder: &ModelFolder| load(folder).err().unwrap().to_string();
    let cut = forged(dir.path(), "hibari.safetensors", |bytes| bytes[..bytes.len() / 2].to_vec());
    assert!(error(&cut).starts_with("unusable weights: "), "{}", error(&cut));
    // The networks exchanged: every tensor is sound, none is the right one.
    let oov = fs::read(dir.path().join("oov.safetensors")).unwrap();
    let other = forged(dir.path(), "hibari.safetensors", |_| oov.clone());
    assert!(error(&other).ends_with("is missing"), "{}", error(&other));
}
