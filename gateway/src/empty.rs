//! Valid files without sound, for callers that must have a file whatever happens.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use ttsfleet_serving::NO_STORE;
use ttsfleet_wire::{audio::AudioFormat, headers};

/// Samples per second of the files.
const SAMPLE_RATE: u32 = 24_000;

/// The empty file of a format. Compressed formats hold a few milliseconds of
/// silence, as no sound at all is no file; bare samples are none.
fn file(format: AudioFormat) -> &'static [u8] {
    match format {
        AudioFormat::Mp3 => include_bytes!("empty/empty.mp3"),
        AudioFormat::Opus => include_bytes!("empty/empty.opus"),
        AudioFormat::Aac => include_bytes!("empty/empty.aac"),
        AudioFormat::Flac => include_bytes!("empty/empty.flac"),
        AudioFormat::Wav => include_bytes!("empty/empty.wav"),
        AudioFormat::Pcm | AudioFormat::Mulaw | AudioFormat::Alaw => &[],
    }
}

/// The answer with an empty file of that format; none for a format that no pod
/// speaks.
pub fn answer(format: Option<&str>, events: bool) -> Option<Response> {
    let format = format.map_or(Some(AudioFormat::ALL[0]), AudioFormat::from_name)?;
    let (file, rate) = (file(format), format.rate_for(SAMPLE_RATE));
    let (content_type, body) = if events {
        ("text/event-stream".to_owned(), Body::from(in_events(file)))
    } else {
        (format.content_type(rate), Body::from(file))
    };
    let mut response = Response::new(body);
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response.headers_mut().insert(headers::DEGRADED, HeaderValue::from_static(headers::EMPTY_AUDIO));
    response.headers_mut().insert(headers::SAMPLE_RATE, rate.into());
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Some(response)
}

fn in_events(file: &[u8]) -> String {
    let delta = json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(file)});
    let usage = json!({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0});
    let degraded = headers::EMPTY_AUDIO;
    let done = json!({"type": "speech.audio.done", "usage": usage, "degraded": degraded, "truncated": false});
    format!("data: {delta}\n\ndata: {done}\n\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use symphonia::core::{
        formats::{FormatOptions, probe::Hint},
        io::MediaSourceStream,
        meta::MetadataOptions,
    };

    use super::*;

    #[rstest]
    fn a_decoder_finds_a_track_of_the_voices_rate(#[values("mp3", "aac", "flac", "wav")] name: &str) {
        let file = file(AudioFormat::from_name(name).unwrap());
        let source = MediaSourceStream::new(Box::new(std::io::Cursor::new(file)), Default::default());
        let (options, metadata) = (FormatOptions::default(), MetadataOptions::default());
        let mut hint = Hint::new();
        hint.with_extension(name);
        let reader = symphonia::default::get_probe().probe(&hint, source, options, metadata).unwrap();
        let track = &reader.tracks()[0];
        let rate = track.codec_params.as_ref().unwrap().audio().unwrap().sample_rate;
        assert_eq!(rate, Some(SAMPLE_RATE));
    }

    #[test]
    fn the_opus_file_has_its_two_headers_and_a_last_page() {
        let file = file(AudioFormat::Opus);
        let pages: Vec<usize> =
            file.windows(4).enumerate().filter(|(_, four)| four == b"OggS").map(|(place, _)| place).collect();
        assert!(pages.len() >= 3, "{pages:?}");
        assert!(file[pages[0]..pages[1]].windows(8).any(|eight| eight == b"OpusHead"));
        assert!(file[pages[1]..pages[2]].windows(8).any(|eight| eight == b"OpusTags"));
        let end_of_stream = 4;
        assert_eq!(file[pages[pages.len() - 1] + 5] & end_of_stream, end_of_stream);
    }
}
