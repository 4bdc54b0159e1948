use std::io::{Cursor, ErrorKind};

use symphonia::{
    core::{
        codecs::audio::AudioDecoderOptions,
        errors::Error,
        formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
        io::MediaSourceStream,
        meta::MetadataOptions,
    },
    default::formats::{FlacReader, WavReader},
};

use crate::{Clip, MAX_RATE, MAX_SECONDS, MIN_RATE};

/// More channels than any speech has.
const MAX_CHANNELS: usize = 8;

/// Why bytes are not audio that can be listened to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The media type is none of wav, pcm, flac and mp3.
    #[error("audio of type {0:?} is not read; wav, pcm, flac and mp3 are")]
    UnknownType(String),
    /// The bytes are not of that type, or broken.
    #[error("the audio is broken: {0}")]
    Broken(String),
    /// The rate is none that speech is recorded at.
    #[error("the audio has {0} samples a second; {MIN_RATE} to {MAX_RATE} are read")]
    Rate(u32),
    /// There is not one sample.
    #[error("the audio has no samples")]
    Empty,
    /// The audio lasts longer than any that is listened to.
    #[error("the audio lasts more than {MAX_SECONDS} s")]
    TooLong,
}

/// Turns audio of a media type into mono samples. `rate_hint` is the rate where
/// the audio itself does not say. Channels are averaged.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(content_type: &str, rate_hint: u32, bytes: &[u8]) -> Result<Clip, DecodeError> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let clip = match essence.as_str() {
        "audio/pcm" | "audio/l16" => pcm(rate_hint, bytes)?,
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => file(wav, bytes)?,
        "audio/flac" | "audio/x-flac" => file(flac, bytes)?,
        "audio/mpeg" | "audio/mp3" => file(mp3, bytes)?,
        _ => return Err(DecodeError::UnknownType(essence.chars().take(64).collect())),
    };
    if clip.samples.is_empty() { Err(DecodeError::Empty) } else { Ok(clip) }
}

/// Signed 16-bit little-endian samples of one channel.
fn pcm(rate: u32, bytes: &[u8]) -> Result<Clip, DecodeError> {
    let most = most_samples(rate)?;
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(DecodeError::Broken("half a sample at the end".to_owned()));
    }
    if pairs.len() > most {
        return Err(DecodeError::TooLong);
    }
    let samples = pairs.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0);
    Ok(Clip { samples: samples.collect(), rate })
}

type Reader = Box<dyn FormatReader>;
type Open = fn(MediaSourceStream<'static>) -> Result<Reader, Error>;

fn wav(source: MediaSourceStream<'static>) -> Result<Reader, Error> {
    Ok(Box::new(WavReader::try_new(source, FormatOptions::default())?))
}

fn flac(source: MediaSourceStream<'static>) -> Result<Reader, Error> {
    Ok(Box::new(FlacReader::try_new(source, FormatOptions::default())?))
}

/// By the probe, which skips tags.
fn mp3(source: MediaSourceStream<'static>) -> Result<Reader, Error> {
    let mut hint = Hint::new();
    hint.with_extension("mp3");
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    symphonia::default::get_probe().probe(&hint, source, format, metadata)
}

/// Decodes a file. The decoders are known to break on some altered headers,
/// where code is built with checks for overflow; such a file is broken too.
fn file(open: Open, bytes: &[u8]) -> Result<Clip, DecodeError> {
    std::panic::catch_unwind(|| samples_of(open, bytes))
        .unwrap_or_else(|_| Err(DecodeError::Broken("the decoder cannot make sense of it".to_owned())))
}

fn samples_of(open: Open, bytes: &[u8]) -> Result<Clip, DecodeError> {
    let broken = |error: Error| DecodeError::Broken(error.to_string());
    let missing = |what: &str| DecodeError::Broken(format!("it has no {what}"));
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), Default::default());
    let mut reader = open(source).map_err(broken)?;
    let track = reader.default_track(TrackType::Audio).ok_or_else(|| missing("audio track"))?;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or_else(|| missing("audio parameters"))?.clone();
    let rate = parameters.sample_rate.ok_or_else(|| missing("rate"))?;
    let most = most_samples(rate)?;
    let options = AudioDecoderOptions::default();
    let codecs = symphonia::default::get_codecs();
    let mut decoder = codecs.make_audio_decoder(&parameters, &options).map_err(broken)?;

    let mut samples = Vec::new();
    let mut part = Vec::new();
    while let Some(packet) = next(reader.next_packet())? {
        let decoded = decoder.decode(&packet).map_err(broken)?;
        if decoded.spec().rate() != rate {
            return Err(DecodeError::Broken("its rate changes".to_owned()));
        }
        let channels = decoded.spec().channels().count();
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(DecodeError::Broken(format!("it has {channels} channels")));
        }
        part.clear();
        decoded.copy_to_vec_interleaved::<f32>(&mut part);
        samples.extend(part.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        if samples.len() > most {
            return Err(DecodeError::TooLong);
        }
    }
    if samples.iter().any(|sample| !sample.is_finite()) {
        return Err(DecodeError::Broken("it has samples that are not numbers".to_owned()));
    }
    samples.iter_mut().for_each(|sample| *sample = sample.clamp(-1.0, 1.0));
    Ok(Clip { samples, rate })
}

/// A stream whose header does not know its length ends where the bytes do.
fn next<T>(packet: Result<Option<T>, Error>) -> Result<Option<T>, DecodeError> {
    match packet {
        Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        other => other.map_err(|error| DecodeError::Broken(error.to_string())),
    }
}

/// How many samples of that rate are listened to.
fn most_samples(rate: u32) -> Result<usize, DecodeError> {
    if (MIN_RATE..=MAX_RATE).contains(&rate) {
        Ok(rate as usize * MAX_SECONDS as usize)
    } else {
        Err(DecodeError::Rate(rate))
    }
}
