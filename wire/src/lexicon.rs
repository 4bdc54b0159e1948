//! Words and how they are said, as callers and fleets give them.

use std::{collections::BTreeMap, fmt};

/// Words and how each is said: like other words ("cube control"), or in the
/// International Phonetic Alphabet between slashes ("/ˈkjuːb/").
pub type Lexicon = BTreeMap<String, String>;

/// Entries of one request, at most.
pub const MOST_ENTRIES: usize = 64;
/// Longest word, or words that are one entry, in Unicode characters.
pub const LONGEST_WORD: usize = 64;
/// Longest respelling, in Unicode characters.
pub const LONGEST_RESPELLING: usize = 256;
/// Longest phonemes, in Unicode characters, the slashes not counted.
pub const LONGEST_PHONEMES: usize = 100;

/// What the IPA takes of the Latin and Greek letters.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzæçðøħŋœǀǁǂǃβθχ";
/// Its signs beside letters: stress and length as they are typed, syllables,
/// ties and boundaries.
const SIGNS: &str = " '.,:|‖‿↗↘↑↓";

/// How a word is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pronunciation<'a> {
    /// Like these words.
    Respelling(&'a str),
    /// Like this, in the International Phonetic Alphabet.
    Phonemes(&'a str),
}

/// What is wrong with an entry. Its words say what to do, and hold nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its word is none, or too long.
    Word,
    /// Its respelling is none, or too long.
    Respelling,
    /// Its phonemes are none, too long, or not between two slashes.
    Phonemes,
    /// Its phonemes are not in the International Phonetic Alphabet.
    Alphabet,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word => write!(
                formatter,
                "a word has 1 to {LONGEST_WORD} characters, at least one of them a letter or digit"
            ),
            Self::Respelling => write!(
                formatter,
                "a pronunciation has 1 to {LONGEST_RESPELLING} characters, at least one of them a letter or digit; \
                 write it like \"cube control\", or in IPA like \"/ˈkjuːb/\""
            ),
            Self::Phonemes => write!(
                formatter,
                "phonemes stand between two slashes, like \"/ˈkjuːb/\", and have 1 to {LONGEST_PHONEMES} characters"
            ),
            Self::Alphabet => formatter.write_str(
                "phonemes are written in the International Phonetic Alphabet, like \"/ˈkjuːb/\", without capitals or \
                 digits; write anything else without slashes",
            ),
        }
    }
}

impl std::error::Error for Fault {}

/// Reads an entry.
///
/// # Errors
/// What is wrong with it. Whether the voice has all of its sounds only the voice
/// knows.
pub fn read<'a>(word: &str, pronunciation: &'a str) -> Result<Pronunciation<'a>, Fault> {
    if !is_said(word, LONGEST_WORD) {
        return Err(Fault::Word);
    }
    let pronunciation = pronunciation.trim();
    if !pronunciation.starts_with('/') && !pronunciation.ends_with('/') {
        let fits = is_said(pronunciation, LONGEST_RESPELLING);
        return fits.then_some(Pronunciation::Respelling(pronunciation)).ok_or(Fault::Respelling);
    }
    let phonemes = pronunciation.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let phonemes = phonemes.map(str::trim).filter(|phonemes| is_said(phonemes, LONGEST_PHONEMES));
    let phonemes = phonemes.ok_or(Fault::Phonemes)?;
    if !phonemes.chars().all(is_ipa) {
        return Err(Fault::Alphabet);
    }
    Ok(Pronunciation::Phonemes(phonemes))
}

/// The word and the pronunciation of a line `word = pronunciation`; none without
/// a sign of equality.
pub fn split(line: &str) -> Option<(&str, &str)> {
    let (word, pronunciation) = line.split_once('=')?;
    Some((word.trim(), pronunciation.trim()))
}

fn is_said(text: &str, most: usize) -> bool {
    let is_control = |c: char| c.is_control() && !c.is_whitespace();
    // Every character has a byte at least: what is endless is not counted.
    text.len() <= 4 * most
        && text.chars().count() <= most
        && text.contains(char::is_alphanumeric)
        && !text.contains(is_control)
}

fn is_ipa(c: char) -> bool {
    // IPA extensions, modifier letters (stress and length among them), accents,
    // and the letters and accents beyond.
    matches!(c, '\u{250}'..='\u{36f}' | '\u{1d00}'..='\u{1dff}' | '\u{2c71}')
        || LETTERS.contains(c)
        || SIGNS.contains(c)
        || c == 'ɡ'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_respelling_or_phonemes_between_slashes() {
        let respelled = |text| Ok(Pronunciation::Respelling(text));
        let phonemes = |text| Ok(Pronunciation::Phonemes(text));
        assert_eq!(read("kubectl", "cube control"), respelled("cube control"));
        assert_eq!(read("C#", " see sharp "), respelled("see sharp"));
        assert_eq!(read("k8s", "kay 8 s"), respelled("kay 8 s"));
        assert_eq!(read("and/or", "and/or"), respelled("and/or"));
        assert_eq!(read("New York", "/nuː ˈjɔːɹk/"), phonemes("nuː ˈjɔːɹk"));
        assert_eq!(read("世界", "/t͡ʃaʊ̯.θə̃/"), phonemes("t͡ʃaʊ̯.θə̃"));
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told() {
        let long = "a".repeat(257);
        for (word, pronunciation, fault) in [
            ("", "a", Fault::Word),
            ("#", "hash", Fault::Word),
            (&long[..65], "a", Fault::Word),
            ("a\u{0}", "a", Fault::Word),
            ("a", "", Fault::Respelling),
            ("a", "—", Fault::Respelling),
            ("a", &long, Fault::Respelling),
            ("a", "b\u{1b}[0m", Fault::Respelling),
            ("a", "/", Fault::Phonemes),
            ("a", "//", Fault::Phonemes),
            ("a", "/ˈkjuːb", Fault::Phonemes),
            ("a", "kjuːb/", Fault::Phonemes),
            ("a", &format!("/{}/", &long[..101]), Fault::Phonemes),
            ("a", "/kjU:b/", Fault::Alphabet),
            ("a", "/ki2/", Fault::Alphabet),
            ("a", "/привет/", Fault::Alphabet),
        ] {
            assert_eq!(read(word, pronunciation), Err(fault), "{word:?} = {pronunciation:?}");
        }
    }

    #[test]
    fn what_is_longest_is_taken() {
        let long = "ä".repeat(256);
        let of = |characters: usize| &long[..2 * characters];
        assert_eq!(read(of(64), of(256)), Ok(Pronunciation::Respelling(&long)));
        let phonemes = format!("/{}/", "ə".repeat(100));
        assert!(read("a", &phonemes).is_ok());
    }

    #[test]
    fn a_line_is_divided_at_its_first_sign_of_equality() {
        assert_eq!(split(" C# = see sharp "), Some(("C#", "see sharp")));
        assert_eq!(split("a=b=c"), Some(("a", "b=c")));
        assert_eq!(split("kubectl"), None);
    }
}
