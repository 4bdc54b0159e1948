//! What was encoded is decoded by others' decoders, and is what went in.

use std::{f32::consts::TAU, io::Cursor};

use rstest::rstest;
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

use super::*;

/// Half of full scale.
fn tone(pitch: f32, rate: u32, seconds: f32) -> Vec<f32> {
    let step = f64::from(TAU * pitch) / f64::from(rate);
    (0..(seconds * rate as f32) as usize).map(|n| 0.5 * (n as f64 * step).sin() as f32).collect()
}

/// Encodes in pieces of uneven size, marked.
fn encode(format: AudioFormat, own: u32, sent: u32, samples: &[f32]) -> Vec<u8> {
    encode_with(format, own, sent, samples, Some(&marks()))
}

fn encode_with(format: AudioFormat, own: u32, sent: u32, samples: &[f32], marks: Option<&Marks>) -> Vec<u8> {
    let mut encoder = encoder(format, own, sent, marks).unwrap();
    let mut out = Vec::new();
    let mut rest = samples;
    for size in [1, 7, 255, 256, 257, 1000, 4096].into_iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        encoder.push(piece, &mut out).unwrap();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    encoder.finish(&mut out).unwrap();
    if format == AudioFormat::Wav {
        out.splice(0..0, wav::header(sent, u32::try_from(out.len()).ok(), marks));
    }
    out
}

/// Of names that no container may trip over.
fn marks() -> Marks {
    let model = "hibari@1\0\r\n\"é😀=ID3";
    Marks::new("制作者", model, "sha256:00", "r-1", jiff::Timestamp::from_second(1_795_900_000).unwrap())
}

/// The samples, and their rate as the file says.
fn decode(format: AudioFormat, sent: u32, bytes: Vec<u8>) -> (u32, Vec<f32>) {
    match format {
        AudioFormat::Opus => (sent, decode_opus(sent, &bytes)),
        AudioFormat::Pcm => {
            let (pairs, _) = bytes.as_chunks::<2>();
            (sent, pairs.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32768.0).collect())
        }
        AudioFormat::Mulaw => {
            (sent, bytes.into_iter().map(|byte| f32::from(of_mulaw(byte)) / 32768.0).collect())
        }
        AudioFormat::Alaw => {
            (sent, bytes.into_iter().map(|byte| f32::from(of_alaw(byte)) / 32768.0).collect())
        }
        _ => decode_file(format, bytes),
    }
}

fn reader(format: AudioFormat, bytes: Vec<u8>) -> Box<dyn FormatReader> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let (options, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut hint = Hint::new();
    hint.with_extension(format.name());
    symphonia::default::get_probe().probe(&hint, source, options, metadata).unwrap()
}

fn decode_file(format: AudioFormat, bytes: Vec<u8>) -> (u32, Vec<f32>) {
    let mut reader = reader(format, bytes);
    let track = reader.default_track(TrackType::Audio).unwrap().clone();
    let parameters = track.codec_params.as_ref().unwrap().audio().unwrap().clone();
    let options = AudioDecoderOptions::default();
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(&parameters, &options).unwrap();
    let mut samples = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let mut part = Vec::new();
        decoder.decode(&packet).unwrap().copy_to_vec_interleaved::<f32>(&mut part);
        samples.extend(part);
    }
    (parameters.sample_rate.unwrap(), samples)
}

fn decode_opus(rate: u32, bytes: &[u8]) -> Vec<f32> {
    let mut reader = opus_pure::OggOpusReader::new(bytes).unwrap();
    let mut decoder = reader.head().decoder(rate as i32).unwrap();
    let mut trim = opus_pure::Trim::new(reader.head(), rate as i32, 1).unwrap();
    let mut block = vec![0.0; opus_pure::MAX_PACKET_SAMPLES];
    let mut samples = Vec::new();
    for packet in reader.packets() {
        let packet = packet.unwrap();
        let length = decoder.decode(&packet.data, opus_pure::MAX_PACKET_SAMPLES, &mut block).unwrap();
        samples.extend_from_slice(trim.keep(&packet, &block[..length]));
    }
    samples
}

/// G.711's µ-law, by its definition: sign, three bits of exponent, four of mantissa.
fn of_mulaw(byte: u8) -> i16 {
    let byte = !byte;
    let (exponent, mantissa) = ((byte >> 4) & 7, i16::from(byte & 15));
    let magnitude = (((mantissa << 3) + 132) << exponent) - 132;
    if byte & 128 == 0 { magnitude } else { -magnitude }
}

/// G.711's A-law, by its definition.
fn of_alaw(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (exponent, mantissa) = ((byte >> 4) & 7, i16::from(byte & 15) << 4);
    let magnitude = if exponent == 0 { mantissa + 8 } else { (mantissa + 264) << (exponent - 1) };
    if byte & 128 == 0 { -magnitude } else { magnitude }
}

/// Amplitude of the tone of that pitch.
fn loudness(samples: &[f32], pitch: f32, rate: u32) -> f32 {
    let step = TAU * pitch / rate as f32;
    let turned =
        samples.iter().enumerate().map(|(n, s)| (s * (n as f32 * step).cos(), s * (n as f32 * step).sin()));
    let (re, im) = turned.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    2.0 * f32::hypot(re, im) / samples.len() as f32
}

/// The loudest step in the second difference: a click is one, a tone has none.
fn roughness(samples: &[f32]) -> f32 {
    samples.windows(3).map(|three| (three[0] - 2.0 * three[1] + three[2]).abs()).fold(0.0, f32::max)
}

#[rstest]
fn every_format_at_every_rate_decodes_to_the_tone_that_went_in(
    #[values(22_050, 24_000, 44_100)] own: u32,
    #[values(8_000, 11_025, 16_000, 24_000, 44_100, 48_000)] sent: u32,
) {
    let samples = tone(220.0, own, 1.0);
    for format in AudioFormat::ALL {
        if format.rates().is_some_and(|rates| !rates.contains(&sent)) {
            continue;
        }
        let (rate, decoded) = decode(format, sent, encode(format, own, sent, &samples));
        let named = format!("{} from {own} to {sent}", format.name());
        assert_eq!(rate, sent, "{named}");
        // What these add is not said in the file.
        let more = if matches!(format, AudioFormat::Mp3 | AudioFormat::Aac) { 3_000 } else { 0 };
        let expected = sent as usize;
        assert!((expected..=expected + more).contains(&decoded.len()), "{named}: {}", decoded.len());
        let middle = &decoded[expected / 4..expected * 3 / 4];
        let (tone, other) = (loudness(middle, 220.0, sent), loudness(middle, 440.0, sent));
        assert!((tone - 0.5).abs() < 0.03 && other < 0.01, "{named}: {tone} at 220 Hz, {other} at 440 Hz");
    }
}

/// Samples by which audio is late in another's decoder.
fn lateness(format: AudioFormat, rate: u32) -> i64 {
    let mut samples = vec![0.0; rate as usize];
    let burst = tone(500.0, rate, 0.05);
    samples[rate as usize / 2..][..burst.len()].copy_from_slice(&burst);
    let (_, decoded) = decode(format, rate, encode(format, rate, rate, &samples));
    let loudest = |from: usize| {
        let window = &decoded[from..from + burst.len()];
        window.iter().zip(&burst).map(|(a, b)| a * b).sum::<f32>()
    };
    let places = rate as usize / 4..decoded.len() - burst.len();
    let place = places.max_by(|&a, &b| loudest(a).total_cmp(&loudest(b))).unwrap();
    place as i64 - i64::from(rate / 2)
}

#[rstest]
fn players_leave_out_the_delay_of_an_mp3_encoder(#[values(8_000, 24_000, 44_100)] rate: u32) {
    let late = lateness(AudioFormat::Mp3, rate);
    assert!(late.abs() <= 1, "{late} samples late");
}

#[rstest]
fn an_mp3_is_sent_as_it_is_made(#[values(8_000, 24_000, 44_100, 48_000)] rate: u32) {
    let mut encoder = encoder(AudioFormat::Mp3, rate, rate, None).unwrap();
    let mut out = Vec::new();
    encoder.push(&tone(220.0, rate, 0.5), &mut out).unwrap();
    let half_a_second = 96_000 / 8 / 2;
    assert!(out.len() > half_a_second * 3 / 4, "{} bytes", out.len());
}

#[rstest]
#[case::down(24_000, 8_000)]
#[case::up(22_050, 48_000)]
#[case::odd(24_000, 23_999)]
#[case::odder(44_100, 8_001)]
fn a_resampled_tone_has_its_length_pitch_and_place_and_no_clicks(#[case] own: u32, #[case] sent: u32) {
    let pitch = 437.0;
    let samples = tone(pitch, own, 2.0);
    let (_, resampled) = decode(AudioFormat::Pcm, sent, encode(AudioFormat::Pcm, own, sent, &samples));
    assert_eq!(resampled.len(), 2 * sent as usize);
    let crossings = resampled.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
    assert!((873..=875).contains(&crossings), "{crossings} periods in two seconds of {pitch} Hz");
    let inner = 100..resampled.len() - 100;
    let as_it_should_be = tone(pitch, sent, 2.0);
    let off = inner.clone().map(|n| (resampled[n] - as_it_should_be[n]).abs()).fold(0.0, f32::max);
    let of_a_sample = 0.5 * TAU * pitch / sent as f32;
    assert!(off < 0.6 * of_a_sample, "{} samples from its place", off / of_a_sample);
    let (rough, smooth) = (roughness(&resampled[inner.clone()]), roughness(&as_it_should_be[inner]));
    assert!(rough < smooth + 1e-3, "{rough}, and {smooth} without a seam");
}

#[rstest]
#[case::down(44_100, 8_001, 3_000.0)]
#[case::up(22_050, 48_000, 9_000.0)]
#[case::odd(24_000, 23_999, 9_000.0)]
fn resampling_adds_less_than_sixteen_bits_do(#[case] own: u32, #[case] sent: u32, #[case] pitch: f32) {
    let samples = tone(pitch, own, 1.0);
    let (_, resampled) = decode(AudioFormat::Pcm, sent, encode(AudioFormat::Pcm, own, sent, &samples));
    let step = f64::from(TAU * pitch) / f64::from(sent);
    let inner: Vec<(f64, f64)> =
        (200..resampled.len() - 200).map(|n| (n as f64 * step, f64::from(resampled[n]))).collect();
    // What is left when the tone, wherever it is, is taken away.
    let share = |wave: fn(f64) -> f64| {
        2.0 * inner.iter().map(|&(phase, sample)| wave(phase) * sample).sum::<f64>() / inner.len() as f64
    };
    let (sine, cosine) = (share(f64::sin), share(f64::cos));
    let rest = inner.iter().map(|&(phase, sample)| sample - sine * phase.sin() - cosine * phase.cos());
    let noise = (rest.map(|rest| rest * rest).sum::<f64>() / inner.len() as f64).sqrt();
    assert!(noise < 1.0 / 32_768.0, "{} dB", 20.0 * noise.log10());
}

#[test]
fn what_the_lower_rate_cannot_hold_is_left_out_and_not_folded_back() {
    let high = tone(5_000.0, 24_000, 1.0);
    let (_, resampled) = decode(AudioFormat::Pcm, 8_000, encode(AudioFormat::Pcm, 24_000, 8_000, &high));
    let loudest = resampled[200..7_800].iter().fold(0.0, |most: f32, sample| most.max(sample.abs()));
    assert!(loudest < 0.001, "{loudest}");
    let low = tone(3_400.0, 24_000, 1.0);
    let (_, resampled) = decode(AudioFormat::Pcm, 8_000, encode(AudioFormat::Pcm, 24_000, 8_000, &low));
    let passed = loudness(&resampled, 3_400.0, 8_000);
    assert!((passed - 0.5).abs() < 0.01, "a telephone's band passes: {passed}");
}

#[rstest]
fn a_single_sample_is_audio_in_every_format(#[values(8_000, 24_000, 48_000)] sent: u32) {
    for format in AudioFormat::ALL {
        let mut some = Vec::new();
        let mut of_one = encoder(format, 24_000, sent, None).unwrap();
        of_one.push(&[0.5], &mut some).unwrap();
        of_one.finish(&mut some).unwrap();
        assert!(!some.is_empty(), "{}", format.name());
    }
}

#[test]
fn what_is_no_number_or_too_loud_is_encoded_all_the_same() {
    let mut samples = tone(220.0, 24_000, 0.5);
    samples[100] = f32::NAN;
    samples[200] = f32::INFINITY;
    samples[300] = -7.0;
    for format in AudioFormat::ALL {
        assert!(!encode(format, 24_000, 24_000, &samples).is_empty(), "{}", format.name());
    }
}

/// What a file says of itself, under names in small letters, as others' readers
/// find it; symphonia's forgets what it reads of a WAV file's.
fn tags(format: AudioFormat, bytes: Vec<u8>) -> Vec<(String, String)> {
    let tags: Vec<(String, String)> = match format {
        AudioFormat::Opus => {
            let reader = opus_pure::OggOpusReader::new(&*bytes).unwrap();
            let found = |name: &str| Some((name.to_owned(), reader.tags().get(name)?.to_owned()));
            ["COMMENT", "DATE", "ENCODER", "AIGC"].into_iter().filter_map(found).collect()
        }
        AudioFormat::Wav => {
            let (_, list) = chunks(&bytes[12..]).into_iter().find(|(id, _)| id == "LIST").unwrap();
            let texts = chunks(list.strip_prefix(b"INFO").unwrap()).into_iter();
            let text = |bytes: &[u8]| String::from_utf8(bytes.strip_suffix(b"\0").unwrap().to_vec()).unwrap();
            texts.map(|(id, bytes)| (id, text(bytes))).collect()
        }
        _ => {
            let mut reader = reader(format, bytes);
            let revision = reader.metadata().skip_to_latest().cloned().unwrap();
            revision.media.tags.into_iter().map(|tag| (tag.raw.key, tag.raw.value.to_string())).collect()
        }
    };
    tags.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

/// The chunks of RIFF, which begin at even places.
fn chunks(mut rest: &[u8]) -> Vec<(String, &[u8])> {
    let mut chunks = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes(head[4..].try_into().unwrap()) as usize;
        let (content, after) = after.split_at(length);
        chunks.push((String::from_utf8(head[..4].to_vec()).unwrap(), content));
        rest = after.get(length % 2..).unwrap_or_default();
    }
    chunks
}

#[rstest]
fn a_file_says_that_it_is_synthetic_and_by_whom(
    #[values(AudioFormat::Mp3, AudioFormat::Aac, AudioFormat::Flac, AudioFormat::Wav, AudioFormat::Opus)]
    format: AudioFormat,
) {
    let samples = tone(220.0, 24_000, 0.5);
    let said = tags(format, encode(format, 24_000, 24_000, &samples));
    let value = |names: &[&str]| {
        let found = said.iter().find(|(name, _)| names.contains(&&name[..]));
        found.map(|(_, value)| value.clone()).unwrap_or_else(|| panic!("{names:?} in {said:?}"))
    };
    let words = value(&["comment", "comm", "icmt"]);
    let expected = "Synthetic speech, generated by artificial intelligence. Producer: 制作者. \
                    Model: hibari@1\"é😀=ID3, sha256:00. Time: 2026-11-28T21:06:40Z. Request: r-1.";
    assert_eq!(words, expected);
    let aigc = value(&["aigc", "txxx"]);
    assert!(aigc.starts_with(r#"{"Label":"1","ContentProducer":"制作者","ProduceID":"r-1""#), "{aigc}");
    assert_eq!(value(&["date", "tden", "icrd"]), "2026-11-28T21:06:40Z");
    let bare = encode_with(format, 24_000, 24_000, &samples, None);
    assert!(!bare.windows(4).any(|four| four == b"AIGC"), "nothing is said where nothing shall be");
}

#[test]
fn what_marks_add_is_small() {
    let samples = tone(220.0, 24_000, 0.5);
    for format in AudioFormat::ALL {
        let bare = encode_with(format, 24_000, 24_000, &samples, None).len();
        let more = encode(format, 24_000, 24_000, &samples).len() - bare;
        assert!(more < 1024, "{}: {more} bytes", format.name());
    }
}

#[test]
fn a_wav_file_of_unknown_length_is_read_to_its_end() {
    let samples = tone(220.0, 24_000, 0.5);
    let mut bytes = wav::header(24_000, None, Some(&marks()));
    assert_eq!(bytes[4..8], u32::MAX.to_le_bytes());
    bytes.extend(encode(AudioFormat::Pcm, 24_000, 24_000, &samples));
    let (rate, decoded) = decode_file(AudioFormat::Wav, bytes);
    assert_eq!((rate, decoded.len()), (24_000, samples.len()));
}
