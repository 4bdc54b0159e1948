//! Pauses: how long they are, and `[pause:1s]` among words.

use std::{ops::Range, time::Duration};

use super::Part;

const MARK: &str = "[pause:";
/// Longest inside of a mark: "10000ms" and some blanks.
const LONGEST_INSIDE: usize = 16;

/// A length of time as CSS writes it: "2s", "0.5 s", "250ms".
pub(super) fn length(written: &str) -> Option<Duration> {
    let written = written.trim().to_ascii_lowercase();
    let (number, unit) = match written.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (written.strip_suffix('s')?, 1.0),
    };
    let number = number.trim().trim_start_matches('+');
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: f64 = number.parse().ok().filter(|_| plain)?;
    Duration::try_from_secs_f64(seconds * unit).ok()
}

/// The words around the marks of pauses, and the pauses. What is no length of
/// time stays as it is written.
pub(super) fn split(text: &str, rate: f32) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (mark, length) in marks(text) {
        parts.push(Part::Words { text: text[start..mark.start].to_owned(), rate });
        parts.push(Part::Pause(length));
        start = mark.end;
    }
    parts.push(Part::Words { text: text[start..].to_owned(), rate });
    parts
}

/// Where the marks of pauses stand, and how long those are.
pub(super) fn marks(text: &str) -> impl Iterator<Item = (Range<usize>, Duration)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + text[from..].find('[')?;
            from = at + 1;
            let Some((inside, after)) = inside(&text[at..]) else { continue };
            if let Some(length) = length(inside) {
                from = at + after;
                return Some((at..from, length));
            }
        }
    })
}

/// What a mark says, and where it ends.
fn inside(text: &str) -> Option<(&str, usize)> {
    text.get(..MARK.len()).filter(|mark| mark.eq_ignore_ascii_case(MARK))?;
    let length = text.bytes().skip(MARK.len()).take(LONGEST_INSIDE).position(|byte| byte == b']')?;
    Some((&text[MARK.len()..][..length], MARK.len() + length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_css() {
        for (written, milliseconds) in
            [("1s", 1000), ("0.25s", 250), (" 250 ms ", 250), ("+2S", 2000), (".5s", 500), ("0ms", 0)]
        {
            assert_eq!(length(written), Some(Duration::from_millis(milliseconds)), "{written}");
        }
        for nonsense in ["", "s", "1", "1m", "-1s", "infs", "nans", "1e9s", "one s", "1..5s"] {
            assert_eq!(length(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn marks_of_pauses_are_found_among_words() {
        let words = |text: &str| Part::Words { text: text.to_owned(), rate: 1.0 };
        let pause = |milliseconds| Part::Pause(Duration::from_millis(milliseconds));
        assert_eq!(
            split("One [pause:1s] two[Pause: 50ms]", 1.0),
            [words("One "), pause(1000), words(" two"), pause(50), words("")]
        );
        for kept in ["[pause]", "[pause:]", "[pause:long]", "[pause:1s", "[pause: é1s]", "[paused:1s]"] {
            assert_eq!(split(kept, 1.0), [words(kept)]);
        }
    }
}
