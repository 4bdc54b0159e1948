//! What an answer says of itself, in words.

use std::time::Duration;

use hyper::header::HeaderMap;
use ttsfleet_wire::headers;

/// What is not as it might be.
pub(super) fn notes(map: &HeaderMap) -> Vec<String> {
    let of = |name| header(map, name);
    let mut notes = Vec::new();
    match of(headers::DEGRADED) {
        Some(headers::EMPTY_AUDIO) => notes.push("No pod answered: there is no sound in this.".to_owned()),
        Some(_) => {
            let pool = of(headers::POOL).unwrap_or("another");
            notes.push(format!("Spoken by pool {pool}, as the one before it could not."));
        }
        None => {}
    }
    if of(headers::TRUNCATED) == Some("true") {
        let chars = |name| of(name).unwrap_or("?");
        let (spoken, sent) = (chars(headers::SPOKEN_CHARS), chars(headers::INPUT_CHARS));
        notes.push(format!("The text was cut: {spoken} of {sent} characters are spoken."));
    }
    if let Some(skipped) = of(headers::SKIPPED_CHARS) {
        notes.push(format!("Left out, as the voice cannot speak them: {skipped} letters."));
    }
    if of(headers::NO_WORDS) == Some("true") {
        notes.push("The text has no words: this is silence.".to_owned());
    }
    if let Some(ignored) = of(headers::IGNORED) {
        notes.push(format!("The fleet does not know, and has ignored: {ignored}."));
    }
    notes
}

/// How much audio there is, and who spoke it.
pub(super) fn audio(length: Option<Duration>, bytes: usize, map: &HeaderMap) -> String {
    let much = match length {
        Some(length) => format!("{:.2} s", length.as_secs_f64()),
        None => format!("{} KiB", bytes.div_ceil(1024)),
    };
    header(map, headers::MODEL).map_or_else(|| much.clone(), |model| format!("{much} by {model}"))
}

/// A header's value.
pub(super) fn header<'a>(map: &'a HeaderMap, name: &str) -> Option<&'a str> {
    map.get(name)?.to_str().ok()
}
