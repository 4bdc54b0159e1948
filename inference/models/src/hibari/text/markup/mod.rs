//! What a text says beside its words: Markdown, HTML, a subset of SSML and
//! `[pause:1s]` become words, pauses, rates and given phonemes.
//!
//! A text that begins with `<speak` is SSML ([`ssml`]); any other is Markdown
//! ([`markdown`]) with HTML in it ([`html`]), where it has something that looks
//! like it. What only looks like it is kept as it is written. Nothing here
//! refuses a text: callers let programs write them, which make mistakes, and cut
//! them in the middle.

mod entries;
mod html;
mod ipa;
mod markdown;
mod pauses;
mod script;
mod ssml;
mod tags;

use std::time::Duration;

use crate::Entry;
use entries::Entries;
use script::Writer;

/// Stand for given phonemes in the words, one after the other. They are of
/// Unicode's private use; what a text has of them is taken out.
const STAND_INS: std::ops::RangeInclusive<char> = '\u{e000}'..='\u{e0ff}';
/// Longest pause of one mark.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// All pauses of a text together.
const ALL_PAUSES: Duration = Duration::from_secs(60);

/// A text as it is to be spoken.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Marked {
    /// In order.
    pub(super) parts: Vec<Part>,
    /// Phonemes that the caller gives; [`stand_in`] finds them.
    pub(super) given: Vec<String>,
}

/// A part of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    /// Words, spoken so many times as fast as the whole text.
    Words { text: String, rate: f32 },
    /// Silence.
    Pause(Duration),
}

/// Which of the given phonemes a character stands for.
pub(super) fn stand_in(c: char) -> Option<usize> {
    STAND_INS.contains(&c).then(|| c as usize - *STAND_INS.start() as usize)
}

/// Reads a text, in whose running words those of the lexicon are said as it says.
/// Takes time in proportion to its length.
pub(super) fn read(text: &str, lexicon: &[Entry]) -> Marked {
    let mut writer = Writer::new(Entries::new(lexicon));
    if text.contains(|c| stand_in(c).is_some()) {
        write(&text.replace(|c| stand_in(c).is_some(), " "), &mut writer);
    } else {
        write(text, &mut writer);
    }
    writer.finish()
}

fn write(text: &str, writer: &mut Writer) {
    match ssml::document(text) {
        Some(document) => ssml::write(document, writer),
        None if markdown::is_likely(text) => markdown::write(text, writer),
        None => writer.words(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_marks_is_kept_letter_by_letter() {
        let text = "Well, it's 5 o'clock.\n\nTime for tea!";
        let words = Part::Words { text: text.to_owned(), rate: 1.0 };
        assert_eq!(read(text, &[]), Marked { parts: vec![words], given: vec![] });
    }

    #[test]
    fn nobody_but_us_writes_stand_ins() {
        let Marked { parts, given } = read("a\u{e000}b", &[]);
        assert_eq!(parts, [Part::Words { text: "a b".to_owned(), rate: 1.0 }]);
        assert!(given.is_empty());
    }
}
