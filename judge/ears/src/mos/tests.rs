//! Parity with librosa and onnxruntime; `tests/golden/mos.py` says how.

use safetensors::SafeTensors;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/mos.safetensors");
const EVERY: usize = 60;

fn golden() -> SafeTensors<'static> {
    SafeTensors::deserialize(GOLDEN).unwrap()
}

fn floats(name: &str) -> Vec<f32> {
    let golden = golden();
    let (numbers, rest) = golden.tensor(name).unwrap().data().as_chunks();
    assert!(rest.is_empty());
    numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn speech() -> Vec<f32> {
    let golden = golden();
    let (numbers, _) = golden.tensor("samples").unwrap().data().as_chunks();
    numbers.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0).collect()
}

fn noise(count: usize, strength: f32) -> impl Iterator<Item = f32> {
    let mut state = 1_u32;
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        strength * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
    })
}

fn clips() -> Vec<(&'static str, Vec<f32>)> {
    let second = RATE as usize;
    let voice = speech();
    let noisy = voice.iter().zip(noise(voice.len(), 0.02)).map(|(voice, noise)| voice + noise).collect();
    let long = voice.iter().copied().cycle().take(8 * second).chain(noise(4 * second, 0.3)).collect();
    vec![
        ("noise", noise(second, 0.3).collect()),
        ("noisy_speech", noisy),
        ("long", long),
        ("silence", vec![0.0; second]),
        ("speech", voice),
    ]
}

#[test]
fn features_are_those_of_librosa() {
    let mos = Mos::load().unwrap();
    for (name, samples) in clips() {
        let features = mos.features(&samples);
        assert_eq!(features.len(), FRAMES * BANDS);
        let kept = features.chunks(BANDS).step_by(EVERY).flatten();
        let wanted = floats(&format!("{name}.features"));
        let worst = kept.zip(&wanted).fold(0.0_f32, |worst, (got, want)| worst.max((got - want).abs()));
        assert!(worst < 5e-5, "{name}: {worst}");
    }
}

#[test]
fn scores_are_those_of_onnxruntime() {
    let mos = Mos::load().unwrap();
    for (name, samples) in clips() {
        let score = mos.score(&Clip { samples, rate: RATE }).unwrap();
        let wanted = floats(&format!("{name}.score"))[0];
        assert!((score - wanted).abs() < 2e-4, "{name}: {score} instead of {wanted}");
    }
}

#[test]
fn another_rate_and_another_loudness_change_little() {
    let mos = Mos::load().unwrap();
    let clip = Clip { samples: speech(), rate: RATE };
    let score = mos.score(&clip).unwrap();
    let higher = mos.score(&clip.at(24_000)).unwrap();
    assert!((score - higher).abs() < 0.05, "{score} {higher}");
    let softer = Clip { samples: clip.samples.iter().map(|sample| sample * 0.25).collect(), rate: RATE };
    let softer = mos.score(&softer).unwrap();
    assert!((score - softer).abs() < 0.01, "{score} {softer}");
}

#[test]
fn the_licence_travels_with_the_weights() {
    assert!(MOS_LICENCE.contains("MIT"), "{MOS_LICENCE}");
}
