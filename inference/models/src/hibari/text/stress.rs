//! Phoneme classes and moving stress.

pub(super) const PRIMARY: char = 'ˈ';
pub(super) const SECONDARY: char = 'ˌ';
const MARKS: [char; 2] = [PRIMARY, SECONDARY];
const DIPHTHONGS: &str = "AIOQWYʤʧ";

pub(super) fn is_vowel(phoneme: char) -> bool {
    "AIOQWYaiuæɑɒɔəɛɜɪʊʌᵻ".contains(phoneme)
}

pub(super) fn is_consonant(phoneme: char) -> bool {
    "bdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθ".contains(phoneme)
}

/// The vowel of "a" as an article: it sounds, but takes no part in stress.
const WEAK_VOWEL: char = 'ɐ';

/// Whether the string has a sound at all, beyond marks and punctuation.
pub(super) fn is_audible(phonemes: &str) -> bool {
    phonemes.chars().any(|phoneme| is_vowel(phoneme) || is_consonant(phoneme) || phoneme == WEAK_VOWEL)
}

/// How heavy a syllable string is, for choosing which part yields its stress.
pub(super) fn weight(phonemes: &str) -> usize {
    phonemes.chars().map(|phoneme| if DIPHTHONGS.contains(phoneme) { 2 } else { 1 }).sum()
}

/// How a word's stress is to change in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stress {
    /// No stress at all.
    None,
    /// One level down; unstressed words stay so.
    Weaker,
    /// Secondary at most: stressed words go down, unstressed ones up.
    Secondary,
    /// At least secondary.
    AtLeastSecondary,
    /// Primary, whatever it was.
    Primary,
}

/// Applies a change of stress to the phonemes of a word.
pub(super) fn restress(phonemes: &str, change: Stress) -> String {
    let stressed = phonemes.contains(MARKS);
    let primary = phonemes.contains(PRIMARY);
    let demoted = || phonemes.replace(SECONDARY, "").replace(PRIMARY, "ˌ");
    match change {
        Stress::None => phonemes.replace(MARKS, ""),
        Stress::Weaker | Stress::Secondary if primary => demoted(),
        Stress::Secondary | Stress::AtLeastSecondary if !stressed => mark_first_vowel(phonemes, SECONDARY),
        Stress::Primary if !stressed => mark_first_vowel(phonemes, PRIMARY),
        Stress::Primary if !primary => phonemes.replace(SECONDARY, "ˈ"),
        _ => phonemes.to_owned(),
    }
}

fn mark_first_vowel(phonemes: &str, mark: char) -> String {
    let Some(vowel) = phonemes.find(is_vowel) else { return phonemes.to_owned() };
    let (onset, rest) = phonemes.split_at(vowel);
    format!("{onset}{mark}{rest}")
}
