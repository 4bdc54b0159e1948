//! Which texts have been compared.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use crate::normalise::{Script, normalise};

/// Texts that are remembered, as eight bytes each. What comes after so many
/// counts as known: it tells little that they did not.
const MOST: usize = 100_000;

/// Texts as they are said: case, punctuation and ways to write a number make no
/// other text. Only their hashes are kept.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    hasher: RandomState,
    known: HashSet<u64>,
}

impl Texts {
    /// Whether a text is among them.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.known.len() >= MOST || self.known.contains(&self.hash(text))
    }

    /// Remembers a text.
    pub(crate) fn add(&mut self, text: &str) {
        if self.known.len() < MOST {
            self.known.insert(self.hash(text));
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hasher.hash_one(normalise(text, Script::of(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_however_it_is_written() {
        let mut texts = Texts::default();
        texts.add("Good morning, room 12!");
        assert!(texts.holds("good morning  room twelve"));
        assert!(!texts.holds("Good morning, room 13!"));
    }

    #[test]
    fn they_are_bounded_and_then_nothing_is_new() {
        let mut texts = Texts::default();
        (0..MOST + 5).for_each(|number| texts.add(&number.to_string()));
        assert_eq!(texts.known.len(), MOST);
        assert!(texts.holds("anything"));
    }
}
