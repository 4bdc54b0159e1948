//! Phonemes as callers write them, in the International Phonetic Alphabet, to
//! those of the voice.

use super::super::stress::{PRIMARY, SECONDARY, is_audible, is_consonant, is_vowel};

/// Longest phonemes of one element, in characters: a long word's.
const LONGEST: usize = 100;
/// What the voice writes otherwise, the longest first. It speaks American
/// English: what that has no sound for becomes the nearest.
const SAME: [(&str, &str); 44] = [
    ("t͡ʃ", "ʧ"),
    ("d͡ʒ", "ʤ"),
    ("ɜːɹ", "ɜɹ"),
    ("tʃ", "ʧ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("ei", "A"),
    ("aɪ", "I"),
    ("ai", "I"),
    ("aʊ", "W"),
    ("au", "W"),
    ("ɔɪ", "Y"),
    ("oɪ", "Y"),
    ("oʊ", "O"),
    ("əʊ", "O"),
    ("ou", "O"),
    ("ɪə", "ɪɹ"),
    ("eə", "ɛɹ"),
    ("ʊə", "ʊɹ"),
    ("ɜː", "ɜɹ"),
    ("n̩", "ᵊn"),
    ("l̩", "ᵊl"),
    ("m̩", "ᵊm"),
    ("g", "ɡ"),
    ("r", "ɹ"),
    ("ʁ", "ɹ"),
    ("ɻ", "ɹ"),
    ("ɝ", "ɜɹ"),
    ("ɚ", "əɹ"),
    ("ɫ", "l"),
    ("ʍ", "w"),
    ("e", "ɛ"),
    ("o", "O"),
    ("ɒ", "ɑ"),
    ("a", "ɑ"),
    ("y", "u"),
    ("ɨ", "ɪ"),
    ("ɐ", "ə"),
    ("x", "k"),
    ("χ", "k"),
    ("ɾ", "T"),
    ("ɣ", "ɡ"),
    ("ʔ", "t"),
    ("c", "k"),
];
/// Length, syllables, ties and the like, which the voice does not write.
const DROPPED: &str = "ːˑ.‿͜͡ʰʲˠˤ̩̯̃̚/[]";

/// The voice's phonemes; none where it has no such sounds.
pub(super) fn phonemes(ipa: &str) -> Option<String> {
    let mut rest = ipa.trim();
    if rest.chars().count() > LONGEST {
        return None;
    }
    let mut phonemes = String::new();
    // Its marks of stress stand before the vowel, not before the syllable.
    let mut stress = None;
    while let Some(next) = rest.chars().next() {
        let (sound, taken) = match SAME.iter().find(|(written, _)| rest.starts_with(written)) {
            Some((written, sound)) => (*sound, written.len()),
            None => (&rest[..next.len_utf8()], next.len_utf8()),
        };
        rest = &rest[taken..];
        match next {
            'ˈ' | '\'' => stress = Some(PRIMARY),
            'ˌ' | ',' => stress = Some(SECONDARY),
            _ if DROPPED.contains(next) => {}
            _ if next.is_whitespace() => phonemes.push(' '),
            _ => {
                let known = |c: char| is_vowel(c) || is_consonant(c) || "Tᵊ".contains(c);
                if !sound.chars().all(known) {
                    return None;
                }
                let vowel = sound.starts_with(|c| is_vowel(c) || c == 'ᵊ');
                phonemes.extend(stress.take_if(|_| vowel));
                phonemes.push_str(sound);
            }
        }
    }
    is_audible(&phonemes).then_some(phonemes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phonemes_are_written_as_the_voice_writes_them() {
        for (ipa, expected) in [
            ("təˈmeɪtoʊ", "təmˈAtO"),
            ("/ˈtʃiːz/", "ʧˈiz"),
            ("pɪˈkɑːn", "pɪkˈɑn"),
            ("ˌaɪ ˈriːd", "ˌI ɹˈid"),
            ("ˈbʌt.n̩", "bˈʌtᵊn"),
            ("hɛˈləʊ", "hɛlˈO"),
        ] {
            assert_eq!(phonemes(ipa).as_deref(), Some(expected), "{ipa}");
        }
    }

    #[test]
    fn what_the_voice_has_no_sound_for_is_not_guessed() {
        for strange in ["", "ˈ", "ǃa", "t5", "привет", &"a".repeat(LONGEST + 1)] {
            assert_eq!(phonemes(strange), None, "{strange}");
        }
    }
}
