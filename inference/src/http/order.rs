//! From a request as sent to an order as checked. No I/O.

use axum::http::HeaderMap;
use jiff::Timestamp;
use ttsfleet_models::{Entry, Manifest, Said, Utterance};
use ttsfleet_serving::Failure;
use ttsfleet_wire::{
    audio::{AudioFormat, SAMPLE_RATES},
    error::ErrorCode,
    headers::{CAME_AT, INPUT_CHARS, RESUMED},
    lexicon::{self, Lexicon, Pronunciation},
    names::Meant,
    speech::SpeechRequest,
};

use super::failures::{parameter, unknown_voice};

/// What to speak, and how to send it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) text: String,
    pub(super) chars: usize,
    /// Length of the text before it was cut on its way here, if it was.
    pub(super) cut_from: Option<usize>,
    pub(super) voice: String,
    pub(super) speed: f32,
    pub(super) lexicon: Vec<Entry>,
    pub(super) format: AudioFormat,
    /// Samples a second that are sent.
    pub(super) sample_rate: u32,
    pub(super) events: bool,
    /// When it came.
    pub(super) time: Timestamp,
    /// Whether a file goes out as it is made, also where its length would be known soon.
    pub(super) is_resumed: bool,
}

/// What the gateway says of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// Length of the text that it was sent.
    pub(super) chars: Option<usize>,
    /// When that was.
    pub(super) time: Option<Timestamp>,
    /// Whether another pod has begun with it.
    pub(super) is_resumed: bool,
}

impl Told {
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            chars: text(INPUT_CHARS).and_then(|chars| chars.parse().ok()),
            time: text(CAME_AT).and_then(|at| Timestamp::from_second(at.parse().ok()?).ok()),
            is_resumed: text(RESUMED) == Some("true"),
        }
    }
}

impl Order {
    /// Judges a request against the model that is served.
    pub(super) fn new(
        request: SpeechRequest,
        meant: &Meant,
        told: &Told,
        manifest: &Manifest,
        max_chars: usize,
    ) -> Result<Self, Failure> {
        check_model(request.model.as_deref().filter(|_| !meant.served_model), manifest)?;
        let chars = check_input(&request.input, max_chars)?;
        let format = choose_format(request.response_format.as_deref())?;
        Ok(Self {
            chars,
            cut_from: told.chars.filter(|&sent| sent > chars),
            voice: choose_voice(request.voice.as_ref().map(|voice| voice.name()), meant, manifest)?,
            speed: check_speed(request.speed.unwrap_or(1.0))?,
            lexicon: entries(&request.lexicon),
            format,
            sample_rate: choose_rate(request.sample_rate, format, manifest.sample_rate)?,
            events: check_stream_format(request.stream_format.as_deref())?,
            text: request.input,
            time: told.time.unwrap_or_else(Timestamp::now),
            is_resumed: told.is_resumed,
        })
    }

    pub(super) fn utterance(&self) -> Utterance<'_> {
        Utterance { text: &self.text, voice: &self.voice, speed: self.speed, lexicon: &self.lexicon }
    }
}

fn check_model(asked: Option<&str>, manifest: &Manifest) -> Result<(), Failure> {
    let Manifest { name, version, .. } = manifest;
    let served = format!("{name}@{version}");
    match asked {
        None => Ok(()),
        Some(asked) if asked == name || asked == served => Ok(()),
        Some(_) => {
            let message =
                format!("This server serves {served} only: send {name:?} as `model`, or leave it out.");
            Err(Failure::new(ErrorCode::ModelNotFound, message).of("model"))
        }
    }
}

fn check_input(input: &str, most: usize) -> Result<usize, Failure> {
    if input.trim().is_empty() {
        return Err(parameter("input", "`input` is empty: it holds the text to speak."));
    }
    let chars = input.chars().count();
    if chars > most {
        let message = format!("`input` has {chars} characters; at most {most} are spoken at once.");
        return Err(Failure::new(ErrorCode::InputTooLong, message).of("input"));
    }
    Ok(chars)
}

fn choose_voice(asked: Option<&str>, meant: &Meant, manifest: &Manifest) -> Result<String, Failure> {
    let voices = &manifest.voices;
    let named = |name: &str| voices.iter().find(|voice| *voice == name);
    let found = match (asked, meant.voice.as_deref()) {
        (None, _) => voices.first(),
        (Some(name), Some("")) => named(name).or(voices.first()),
        (Some(name), Some(meant)) => named(name).or_else(|| named(meant)),
        (Some(name), None) => named(name),
    };
    found.cloned().ok_or_else(|| unknown_voice(voices))
}

fn check_speed(speed: f32) -> Result<f32, Failure> {
    if (0.25..=4.0).contains(&speed) {
        return Ok(speed);
    }
    Err(parameter("speed", "`speed` must be from 0.25 to 4.0."))
}

/// Of a request that was read, all are good.
fn entries(lexicon: &Lexicon) -> Vec<Entry> {
    let entry = |(word, pronunciation): (&String, &String)| {
        let said = match lexicon::read(word, pronunciation).ok()? {
            Pronunciation::Respelling(words) => Said::Like(words.to_owned()),
            Pronunciation::Phonemes(phonemes) => Said::Ipa(phonemes.to_owned()),
        };
        Some(Entry { word: word.clone(), said })
    };
    lexicon.iter().filter_map(entry).collect()
}

fn choose_format(name: Option<&str>) -> Result<AudioFormat, Failure> {
    name.map_or(Some(AudioFormat::ALL[0]), AudioFormat::from_name).ok_or_else(|| {
        let known = AudioFormat::ALL.map(AudioFormat::name).join(", ");
        let message = format!("This `response_format` is not built in; those that are: {known}.");
        Failure::new(ErrorCode::UnsupportedFormat, message).of("response_format")
    })
}

/// What is asked for is kept to, or refused; `own` is the voice's.
fn choose_rate(asked: Option<u32>, format: AudioFormat, own: u32) -> Result<u32, Failure> {
    let Some(asked) = asked else { return Ok(format.rate_for(own)) };
    if !SAMPLE_RATES.contains(&asked) {
        let (least, most) = SAMPLE_RATES.into_inner();
        return Err(parameter("sample_rate", format!("`sample_rate` must be from {least} to {most} Hz.")));
    }
    match format.rates() {
        Some(rates) if !rates.contains(&asked) => {
            let (name, rates) = (format.name(), rates.iter().map(u32::to_string).collect::<Vec<_>>());
            let message = format!("A `sample_rate` of {name} is one of: {} Hz.", rates.join(", "));
            Err(parameter("sample_rate", message))
        }
        _ => Ok(asked),
    }
}

fn check_stream_format(name: Option<&str>) -> Result<bool, Failure> {
    match name {
        None | Some("audio") => Ok(false),
        Some("sse") => Ok(true),
        Some(_) => Err(parameter("stream_format", "`stream_format` must be audio or sse.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_counted_in_characters_and_not_in_bytes() {
        assert_eq!(check_input("äöü€", 4), Ok(4));
        assert_eq!(check_input("äöü€.", 4).unwrap_err().code, ErrorCode::InputTooLong);
    }

    #[test]
    fn a_format_that_is_not_built_in_is_refused_with_those_that_are() {
        assert_eq!(choose_format(None), Ok(AudioFormat::Mp3));
        let refused = choose_format(Some("ogg")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::UnsupportedFormat);
        assert!(refused.message.ends_with("mp3, opus, aac, flac, wav, pcm, mulaw, alaw."), "{refused:?}");
    }

    #[test]
    fn a_rate_is_that_asked_for_or_refused_with_those_that_can_be() {
        assert_eq!(choose_rate(None, AudioFormat::Opus, 22_050), Ok(24_000));
        assert_eq!(choose_rate(Some(8_000), AudioFormat::Opus, 24_000), Ok(8_000));
        assert_eq!(choose_rate(Some(23_999), AudioFormat::Wav, 24_000), Ok(23_999));
        assert_eq!(choose_rate(Some(16_000), AudioFormat::Mulaw, 24_000), Ok(16_000));
        for (format, bad, words) in [
            (AudioFormat::Pcm, 7_999, "from 8000 to 48000 Hz"),
            (AudioFormat::Pcm, 48_001, "from 8000 to 48000 Hz"),
            (AudioFormat::Opus, 44_100, "opus is one of: 8000, 12000, 16000, 24000, 48000 Hz"),
        ] {
            let refused = choose_rate(Some(bad), format, 24_000).unwrap_err();
            assert_eq!((refused.code, refused.param), (ErrorCode::InvalidParameter, Some("sample_rate")));
            assert!(refused.message.contains(words), "{}", refused.message);
        }
    }

    #[test]
    fn speed_is_a_number_within_its_range() {
        for good in [0.25, 1.0, 4.0] {
            assert_eq!(check_speed(good), Ok(good));
        }
        for bad in [0.24, 4.01, -1.0, 0.0, f32::NAN, f32::INFINITY] {
            assert!(check_speed(bad).is_err(), "{bad}");
        }
    }
}
