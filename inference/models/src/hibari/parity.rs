//! The port beside onnxruntime: see `tests/golden/generate.py` for where the
//! numbers come from.

use candle_core::Tensor;
use rand::{SeedableRng, rngs::SmallRng};
use safetensors::SafeTensors;

use super::{
    decoder::OUTPUTS,
    network::Network,
    synth::{HOP, Synth, Transforms},
};
use crate::ModelFolder;

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/hibari.safetensors");
const CASES: [&str; 3] = ["plain", "fast", "slow"];

fn network() -> Network {
    Network::load(&ModelFolder::embedded(ttsfleet_voice::FILES).unwrap()).unwrap()
}

fn raw(case: &str, name: &str) -> Vec<[u8; 4]> {
    let file = SafeTensors::deserialize(GOLDEN).unwrap();
    file.tensor(&format!("{case}.{name}")).unwrap().data().as_chunks().0.to_vec()
}

fn golden(case: &str, name: &str) -> Vec<f32> {
    raw(case, name).into_iter().map(f32::from_le_bytes).collect()
}

fn symbols(case: &str) -> Vec<u32> {
    raw(case, "symbols").into_iter().map(u32::from_le_bytes).collect()
}

/// Compares all values and prints by how much they differ.
fn assert_close(what: &str, actual: &[f32], expected: &[f32], mean_limit: f32, max_limit: f32) {
    assert_eq!(actual.len(), expected.len(), "{what}: another length");
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let mean = differences.clone().sum::<f32>() / actual.len() as f32;
    let max =
        differences.fold(0.0, |max: f32, value| if value.is_nan() { f32::INFINITY } else { max.max(value) });
    println!("{what}: mean {mean:.2e}, max {max:.2e}");
    assert!(mean <= mean_limit && max <= max_limit, "{what} differs: mean {mean:.2e}, max {max:.2e}");
}

/// The mean of each group of values that `group` maps an index to.
fn means(values: &[f32], groups: usize, group: impl Fn(usize) -> usize) -> Vec<f32> {
    let mut sums = vec![0.0_f64; groups];
    for (index, value) in values.iter().enumerate() {
        sums[group(index)] += f64::from(*value);
    }
    sums.iter().map(|sum| (sum * groups as f64 / values.len() as f64) as f32).collect()
}

#[test]
fn durations_and_pitch_agree_with_onnxruntime() {
    let network = network();
    for case in CASES {
        let (prosody, _) = network.plan(&symbols(case), golden(case, "speed")[0]).unwrap();
        assert_close(&format!("{case}.f0"), &prosody.f0, &golden(case, "f0"), 2e-4, 2e-3);
    }
}

#[test]
fn spectra_agree_with_onnxruntime() {
    let network = network();
    for case in CASES {
        let (prosody, frames) = network.plan(&symbols(case), golden(case, "speed")[0]).unwrap();
        let count = prosody.f0.len();
        let spectra = network.decode(frames).next(count).unwrap();
        let every = u32::from_le_bytes(raw(case, "every")[0]) as usize;
        let kept: Vec<f32> = spectra.chunks(OUTPUTS).step_by(every).flatten().copied().collect();
        assert_close(&format!("{case}.frames"), &kept, &golden(case, "frames"), 1e-5, 2e-4);
        let by_bin = means(&spectra, OUTPUTS, |index| index % OUTPUTS);
        assert_close(&format!("{case}.bin_means"), &by_bin, &golden(case, "bin_means"), 1e-5, 1e-4);
        let by_frame = means(&spectra, count, |index| index / OUTPUTS);
        assert_close(&format!("{case}.frame_means"), &by_frame, &golden(case, "frame_means"), 1e-5, 1e-4);
    }
}

/// All that a decoding gives, in pieces of these lengths and then of the last one.
fn in_pieces(network: &Network, frames: &Tensor, lengths: &[usize]) -> Vec<f32> {
    let mut decoding = network.decode(frames.clone());
    let mut lengths = lengths.iter().chain(std::iter::repeat(lengths.last().unwrap()));
    let mut all = Vec::new();
    loop {
        let piece = decoding.next(*lengths.next().unwrap()).unwrap();
        if piece.is_empty() {
            return all;
        }
        all.extend(piece);
    }
}

#[test]
fn a_sentence_decoded_in_pieces_is_the_same() {
    let network = network();
    let (prosody, frames) = network.plan(&symbols("plain"), 1.0).unwrap();
    let count = prosody.f0.len();
    let whole = in_pieces(&network, &frames, &[count]);
    for lengths in [&[40, 80, 160][..], &[1], &[count - 1], &[count - 28, 1], &[7, 100]] {
        let pieces = in_pieces(&network, &frames, lengths);
        assert_close(&format!("pieces of {lengths:?}"), &pieces, &whole, 1e-5, 1e-3);
    }
}

#[test]
fn the_sound_without_its_noise_agrees_with_the_package() {
    let (network, transforms) = (network(), Transforms::new());
    for case in CASES {
        let (prosody, frames) = network.plan(&symbols(case), golden(case, "speed")[0]).unwrap();
        let count = prosody.f0.len();
        let mut spectra = network.decode(frames).next(count).unwrap();
        silence_noise(&mut spectra);
        let mut rng = SmallRng::seed_from_u64(0);
        let mut synth = Synth::new(&transforms, &prosody.f0, &mut rng);
        let mut sound = Vec::new();
        for piece in spectra.chunks(OUTPUTS * 130) {
            sound.extend(synth.push(piece).unwrap());
        }
        assert_eq!(sound.len(), count * HOP);
        let middle = sound.len() / 2;
        for (name, range) in [
            ("sound_start", 0..600),
            ("sound_middle", middle..middle + 3000),
            ("sound_end", sound.len() - 600..sound.len()),
        ] {
            assert_close(&format!("{case}.{name}"), &sound[range], &golden(case, name), 3e-5, 5e-4);
        }
        let squares: Vec<f32> = sound.iter().map(|sample| sample * sample).collect();
        let power = means(&squares, count, |index| index / HOP);
        assert_close(&format!("{case}.hop_power"), &power, &golden(case, "hop_power"), 1e-5, 1e-4);
    }
}

/// Takes the noisy part (the third of five) out of every frame.
fn silence_noise(spectra: &mut [f32]) {
    let bins = OUTPUTS / 5;
    for frame in spectra.chunks_exact_mut(OUTPUTS) {
        frame[2 * bins..3 * bins].fill(-80.0);
    }
}
