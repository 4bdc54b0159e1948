//! Audio as pods send it, and what only says that it is audio.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flacenc::component::BitRepr as _;
use flacenc::error::Verify as _;
use proptest::prelude::*;
use rstest::rstest;
use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};
use ttsfleet_ears::{Clip, DecodeError, decode};

const RATE: u32 = 24_000;

fn tone() -> Vec<i16> {
    let sample = |n: u32| (f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(RATE)).sin() * 12_000.0;
    (0..RATE / 2).map(|n| sample(n) as i16).collect()
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A header of mono 16-bit samples; streams whose length was not known give
/// the largest there is.
fn wav(samples: &[i16], rate: u32, channels: u16, length: Option<u32>) -> Vec<u8> {
    let data = bytes(samples);
    let length = length.unwrap_or(data.len() as u32);
    let mut file = b"RIFF".to_vec();
    file.extend(length.saturating_add(36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate.wrapping_mul(2 * u32::from(channels))).to_le_bytes());
    file.extend((2 * channels).to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(data);
    file
}

fn flac(samples: &[i16]) -> Vec<u8> {
    let config = flacenc::config::Encoder::default().into_verified().unwrap();
    let samples: Vec<i32> = samples.iter().map(|sample| i32::from(*sample)).collect();
    let source = flacenc::source::MemSource::from_samples(&samples, 1, 16, RATE as usize);
    let mut stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size).unwrap();
    // The last block, which may be shorter, does not count.
    stream.stream_info_mut().set_block_sizes(config.block_size, config.block_size).unwrap();
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).unwrap();
    sink.into_inner()
}

/// Root mean square of the difference at the best shift up to `most`.
fn difference(clip: &Clip, most: usize) -> f32 {
    let tone = tone();
    let at = |shift: usize| {
        let pairs = clip.samples[shift..].iter().zip(&tone);
        let count = pairs.len() as f32;
        let sum: f32 = pairs.map(|(got, want)| (got - f32::from(*want) / 32_768.0).powi(2)).sum();
        (sum / count).sqrt()
    };
    (0..=most).map(at).fold(f32::INFINITY, f32::min)
}

#[rstest]
#[case::pcm("audio/pcm", bytes(&tone()))]
#[case::wav("audio/wav", wav(&tone(), RATE, 1, None))]
#[case::streamed_wav("audio/wav; charset=binary", wav(&tone(), RATE, 1, Some(u32::MAX)))]
#[case::flac("Audio/FLAC", flac(&tone()))]
fn lossless_formats_give_the_samples_that_went_in(#[case] content_type: &str, #[case] file: Vec<u8>) {
    let clip = decode(content_type, RATE, &file).unwrap();
    assert_eq!((clip.rate, clip.samples.len()), (RATE, tone().len()));
    assert!(difference(&clip, 0) < 1e-4);
}

#[test]
fn mp3_gives_nearly_the_samples_that_went_in() {
    let mut encoder = Mp3Encoder::new(Mp3EncoderConfig { bitrate_kbps: 96, vbr_quality: None });
    let samples: Vec<f32> = tone().iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    encoder.push_pcm_f32(&samples, 1, RATE).unwrap();
    encoder.finish();
    let mut file = Vec::new();
    while let Ok(packet) = encoder.next_packet() {
        file.extend(packet);
    }
    let clip = decode("audio/mpeg", 0, &file).unwrap();
    assert_eq!(clip.rate, RATE);
    assert!(difference(&clip, 3_000) < 0.02, "{}", difference(&clip, 3_000));
}

#[test]
fn channels_are_averaged() {
    let both: Vec<i16> = tone().iter().flat_map(|sample| [*sample, 0]).collect();
    let clip = decode("audio/wav", RATE, &wav(&both, RATE, 2, None)).unwrap();
    assert_eq!(clip.samples.len(), tone().len());
    assert!((clip.samples[100] - f32::from(tone()[100]) / 65_536.0).abs() < 1e-4);
}

#[rstest]
#[case::another_type("audio/ogg", RATE, tone_wav(), "audio of type \"audio/ogg\" is not read")]
#[case::no_samples("audio/wav", RATE, wav(&[], RATE, 1, None), "the audio has no samples")]
#[case::nothing("audio/pcm", RATE, vec![], "the audio has no samples")]
#[case::half_a_sample("audio/pcm", RATE, vec![1, 2, 3], "the audio is broken: half a sample at the end")]
#[case::no_rate("audio/pcm", 0, vec![1, 2], "the audio has 0 samples a second")]
#[case::absurd_rate("audio/wav", RATE, wav(&tone(), u32::MAX, 1, None), "the audio has 4294967295 samples")]
#[case::too_long("audio/pcm", 4_000, vec![0; 4_000 * 121 * 2], "the audio lasts more than 120 s")]
#[case::too_long_file("audio/wav", 0, wav(&vec![0; 4_000 * 121], 4_000, 1, None), "the audio lasts more than")]
#[case::text("audio/mpeg", RATE, b"no audio at all ".repeat(500), "the audio is broken")]
#[case::empty_file("audio/flac", RATE, vec![], "the audio is broken")]
fn what_is_no_audio_is_refused(
    #[case] content_type: &str,
    #[case] rate: u32,
    #[case] file: Vec<u8>,
    #[case] complaint: &str,
) {
    let error = decode(content_type, rate, &file).unwrap_err();
    assert!(error.to_string().starts_with(complaint), "{error}");
}

fn tone_wav() -> Vec<u8> {
    wav(&tone(), RATE, 1, None)
}

#[test]
fn a_header_that_the_decoder_breaks_on_is_a_broken_file() {
    let mut file = tone_wav();
    // Channels.
    file[22..24].copy_from_slice(&u16::MAX.to_le_bytes());
    let error = decode("audio/wav", RATE, &file).unwrap_err();
    assert!(error.to_string().starts_with("the audio is broken"), "{error}");
}

proptest! {
    #[test]
    fn altered_files_give_audio_or_an_error(
        kind in 0..2_usize,
        // Headers are where most can go wrong.
        changes in proptest::collection::vec((prop_oneof![0..64_usize, 0..4_000_usize], any::<u8>()), 1..20),
    ) {
        let (content_type, mut file) = [("audio/wav", tone_wav()), ("audio/flac", flac(&tone()))][kind].clone();
        for (place, value) in changes {
            let length = file.len();
            file[place % length] = value;
        }
        match decode(content_type, RATE, &file) {
            Ok(clip) => prop_assert!(clip.samples.iter().all(|sample| sample.is_finite())),
            Err(error) => prop_assert!(!matches!(error, DecodeError::UnknownType(_)), "{}", error),
        }
    }
}
