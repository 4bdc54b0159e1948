//! Every format decodes to the tone that went in.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::Cursor;

use common::{RATE, limits, say, start};
use rstest::rstest;
use serde_json::json;
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    formats::{FormatOptions, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

fn decode(bytes: Vec<u8>) -> Vec<f32> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut reader = symphonia::default::get_probe().probe(&Hint::new(), source, format, metadata).unwrap();
    let track = reader.default_track(TrackType::Audio).unwrap().clone();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap().clone();
    assert_eq!(parameters.sample_rate, Some(RATE));
    let options = AudioDecoderOptions::default();
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(&parameters, &options).unwrap();
    let mut samples = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let mut part = Vec::new();
        decoder.decode(&packet).unwrap().copy_to_vec_interleaved::<f32>(&mut part);
        samples.extend(part);
    }
    samples
}

fn decode_opus(bytes: &[u8]) -> Vec<f32> {
    let mut reader = opus_pure::OggOpusReader::new(bytes).unwrap();
    let mut decoder = reader.head().decoder(RATE as i32).unwrap();
    let mut trim = opus_pure::Trim::new(reader.head(), RATE as i32, 1).unwrap();
    let mut block = vec![0.0; opus_pure::MAX_PACKET_SAMPLES];
    let mut samples = Vec::new();
    for packet in reader.packets() {
        let packet = packet.unwrap();
        let length = decoder.decode(&packet.data, opus_pure::MAX_PACKET_SAMPLES, &mut block).unwrap();
        samples.extend_from_slice(trim.keep(&packet, &block[..length]));
    }
    samples
}

/// Amplitude of the tone of that pitch.
fn loudness(samples: &[f32], pitch: f32) -> f32 {
    let step = std::f32::consts::TAU * pitch / RATE as f32;
    let turned =
        samples.iter().enumerate().map(|(n, s)| (s * (n as f32 * step).cos(), s * (n as f32 * step).sin()));
    let (re, im) = turned.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    2.0 * f32::hypot(re, im) / samples.len() as f32
}

#[rstest]
#[case::wav("wav", "audio/wav", 0)]
#[case::flac("flac", "audio/flac", 0)]
#[case::mp3("mp3", "audio/mpeg", 3000)]
#[case::opus("opus", "audio/ogg; codecs=opus", 0)]
#[tokio::test]
async fn every_format_decodes_to_the_tone_that_went_in(
    #[case] format: &str,
    #[case] content_type: &str,
    #[case] padding: usize,
) {
    let server = start(limits()).await;
    let answer = say(server.speech, json!({"input": "one two three", "response_format": format})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
    assert!(answer.whole);
    let samples = if format == "opus" { decode_opus(&answer.body) } else { decode(answer.body) };
    let expected = 3 * RATE as usize;
    assert!((expected..=expected + padding).contains(&samples.len()), "{} samples", samples.len());
    let (tone, other) = (loudness(&samples[..expected], 220.0), loudness(&samples[..expected], 440.0));
    assert!((tone - 0.5).abs() < 0.03 && other < 0.01, "{tone} at 220 Hz, {other} at 440 Hz");
}

#[tokio::test]
async fn mp3_is_the_default() {
    let server = start(limits()).await;
    let answer = say(server.speech, json!({"input": "one"})).await;
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
}
