//! What must hold for any bytes from outside: a function for each kind of input,
//! which panics where it does not hold. The binaries feed them, and
//! `cargo xtask fuzz` looks for inputs.

use std::{sync::LazyLock, time::Duration};

use ttsfleet_models::{
    ModelFolder,
    hibari::text::{Frontend, Part},
};
use ttsfleet_wire::speech::SpeechRequest;

static FRONTEND: LazyLock<Frontend> = LazyLock::new(|| {
    let folder = ModelFolder::embedded(ttsfleet_voice::FILES).expect("the built-in voice is whole");
    Frontend::load(&folder).expect("the built-in voice has a frontend")
});

/// The most silence that marks can ask for.
const MOST_SILENCE: Duration = Duration::from_secs(60);

/// A text with whatever marks.
pub fn markdown(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    speak(text);
}

/// The same as SSML.
pub fn ssml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    speak(&format!("<speak>{text}</speak>"));
}

/// The body of a request.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = SpeechRequest::parse(bytes) {
        let again = serde_json::to_vec(&request).expect("a request can be written");
        SpeechRequest::parse(&again).expect("what was taken once is taken again");
    }
}

fn speak(text: &str) {
    let Ok(reading) = FRONTEND.read(text) else { return };
    let mut silence = Duration::ZERO;
    for part in &reading.parts {
        match part {
            Part::Sentence(sentence, rate) => {
                assert!(!sentence.phonemes.is_empty() && (0.1..=10.0).contains(rate));
            }
            Part::Pause(length) => silence += *length,
        }
    }
    assert!(silence <= MOST_SILENCE, "{silence:?}");
}

/// A binary that feeds one of the functions: to libFuzzer where it is built for
/// that, else from the files that it is given, to see again what was found.
#[macro_export]
macro_rules! target {
    ($function:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| $function(bytes));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            std::env::args_os().skip(1).try_for_each(|file| Ok($function(&std::fs::read(file)?)))
        }
    };
}
