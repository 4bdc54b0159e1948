//! Words that are said as the caller says.

use ttsfleet_reading::{Glossary, composed};

use super::{ipa, stand_in};
use crate::{Entry, Said};

/// How much longer than it is written a text may become, in Unicode characters: as
/// long again as the longest that is taken. Words beyond are read as they stand.
const MOST_ADDED: usize = 4096;

/// The entries of a text.
#[derive(Debug, Default)]
pub(super) struct Entries {
    glossary: Glossary,
    said: Vec<Known>,
    added: usize,
}

/// What is said for a word.
#[derive(Debug)]
enum Known {
    Words(String),
    /// Phonemes of the voice's, and what stands for them once they are needed.
    Phonemes(String, Option<char>),
}

impl Entries {
    /// Without those whose phonemes the voice does not have.
    pub(super) fn new(entries: &[Entry]) -> Self {
        let known = |entry: &Entry| match &entry.said {
            // Nobody but us writes stand-ins.
            Said::Like(words) => {
                let words = words.replace(|c| stand_in(c).is_some(), " ");
                Some(Known::Words(words.split_whitespace().collect::<Vec<_>>().join(" ")))
            }
            Said::Ipa(phonemes) => Some(Known::Phonemes(ipa::phonemes(phonemes)?, None)),
        };
        let known = entries.iter().filter_map(|entry| Some((composed(&entry.word), known(entry)?)));
        let (words, said): (Vec<_>, Vec<_>) = known.unzip();
        Self { glossary: Glossary::new(words.iter().map(AsRef::as_ref)), said, added: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// The text as it is said. `give` takes phonemes and tells what stands for
    /// them, as long as there is something.
    pub(super) fn say(&mut self, text: &str, mut give: impl FnMut(&str) -> Option<char>) -> String {
        let Self { glossary, said, added } = self;
        let text = composed(text);
        glossary.replace(&text, |found| {
            let known = &mut said[found.number];
            let length = match known {
                Known::Words(said) | Known::Phonemes(said, _) => said.chars().count(),
            };
            let more = *added + length.saturating_sub(text[found.place].chars().count());
            if more > MOST_ADDED {
                return None;
            }
            let instead = match known {
                Known::Words(words) => words.clone(),
                Known::Phonemes(phonemes, stand_in) => {
                    *stand_in = stand_in.or_else(|| give(phonemes));
                    (*stand_in)?.to_string()
                }
            };
            *added = more;
            Some(instead.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(word: &str, said: Said) -> Entry {
        Entry { word: word.to_owned(), said }
    }

    fn like(words: &str) -> Said {
        Said::Like(words.to_owned())
    }

    fn ipa(phonemes: &str) -> Said {
        Said::Ipa(phonemes.to_owned())
    }

    /// What is said of a text, and the phonemes that are given with it.
    fn said(entries: &[Entry], text: &str) -> (String, Vec<String>) {
        let mut given = Vec::new();
        let said = Entries::new(entries).say(text, |phonemes| {
            given.push(phonemes.to_owned());
            char::from_u32(0xe000 + given.len() as u32 - 1)
        });
        (said, given)
    }

    #[test]
    fn phonemes_of_a_word_are_given_once() {
        let entries = [entry("gif", ipa("dʒɪf")), entry("SQL", ipa("ˈsiːkwəl")), entry("x", like("ex"))];
        let (text, given) = said(&entries, "a GIF of sql, a gif, GIFs x");
        assert_eq!(text, "a \u{e000} of \u{e001}, a \u{e000}, GIFs ex");
        assert_eq!(given, ["ʤɪf", "sˈikwəl"]);
    }

    #[test]
    fn a_word_whose_phonemes_the_voice_lacks_is_read_as_it_stands() {
        let entries = [entry("clicks", ipa("ǃa")), entry("a", like("ay"))];
        assert_eq!(said(&entries, "a clicks").0, "ay clicks");
    }

    #[test]
    fn accents_may_be_written_in_either_way() {
        let entries = [entry("cafe\u{301}", like("caffay"))];
        assert_eq!(said(&entries, "Café").0, "Caffay");
        assert_eq!(said(&[entry("café", like("caffay"))], "x cafe\u{301}.").0, "x caffay.");
    }

    #[test]
    fn nobody_but_us_writes_stand_ins() {
        assert_eq!(said(&[entry("a", like("b\u{e000} c"))], "a").0, "b c");
    }

    #[test]
    fn what_is_said_is_bounded_however_much_there_is_to_say() {
        for long in [like(&"b ".repeat(128)), ipa(&"ə".repeat(100))] {
            let (text, given) = said(&[entry("a", long)], &"a ".repeat(2000));
            let length =
                text.chars().count() + given.concat().chars().count() * text.matches('\u{e000}').count();
            assert!((2 * MOST_ADDED - 300..=2 * MOST_ADDED).contains(&length), "{length}");
            assert!(text.ends_with("a a "));
        }
    }
}
