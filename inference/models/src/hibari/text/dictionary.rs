//! The pronouncing dictionaries, packed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tables::{PackedMap, Packer, Text, for_each_entry, position, read, unusable};
use crate::{FolderError, ModelFolder};

/// How a dictionary file gives a word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw<'j> {
    #[serde(borrow)]
    One(Text<'j>),
    ByTag(BTreeMap<String, Option<String>>),
}

/// Where a word's phonemes are in the arena, or which homograph it is.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Phonemes { start: u32, len: u32 },
    Homograph(u32),
}

/// What the dictionary says of a word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Entry<'a> {
    /// Always spoken so.
    One(&'a str),
    /// Spoken by part of speech.
    ByTag(&'a Homograph),
}

/// A word with several readings, by tag. A tag without phonemes is spelled.
#[derive(Debug, PartialEq)]
pub(super) struct Homograph(BTreeMap<String, Option<String>>);

impl Homograph {
    /// The reading for a tag, if that tag is set apart.
    pub(super) fn tagged(&self, tag: &str) -> Option<Option<&str>> {
        self.0.get(tag).map(Option::as_deref)
    }

    /// The reading for all other tags.
    pub(super) fn default(&self) -> Option<&str> {
        self.tagged("DEFAULT").flatten()
    }
}

/// Words and their phonemes. A word also answers to its capitalised form and
/// the other way round, unless that form has an entry of its own.
#[derive(Debug)]
pub(super) struct Dictionary {
    slots: PackedMap<Slot>,
    phonemes: String,
    homographs: Vec<Homograph>,
}

impl Dictionary {
    pub(super) fn load(folder: &ModelFolder, file: &str) -> Result<Self, FolderError> {
        let (mut phonemes, mut homographs, mut slots) = (String::new(), Vec::new(), Packer::default());
        let json = read(folder, file)?;
        let mut parser = serde_json::Deserializer::from_slice(&json);
        let walked = for_each_entry(&mut parser, |word, entry: Raw<'_>| {
            let slot = match entry {
                Raw::One(Text(text)) => {
                    let start = position(phonemes.len());
                    phonemes.push_str(&text);
                    Slot::Phonemes { start, len: position(text.len()) }
                }
                Raw::ByTag(tags) => {
                    homographs.push(Homograph(tags));
                    Slot::Homograph(position(homographs.len() - 1))
                }
            };
            slots.push(word, slot);
        });
        walked.and_then(|()| parser.end()).map_err(|error| unusable(file, error))?;
        phonemes.shrink_to_fit();
        Ok(Self { slots: slots.finish(), phonemes, homographs })
    }

    pub(super) fn get(&self, word: &str) -> Option<Entry<'_>> {
        if let Some(slot) = self.slots.get(word) {
            return self.entry(*slot);
        }
        word.chars().nth(1)?;
        let lower = word.to_lowercase();
        let capital = capitalized(&lower);
        let other = match word {
            _ if word == lower => capital,
            _ if word == capital => lower,
            _ => return None,
        };
        self.entry(*self.slots.get(&other)?)
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.get(word).is_some()
    }

    /// The phonemes of a word whose reading does not depend on its tag.
    pub(super) fn plain(&self, word: &str) -> Option<&str> {
        match self.get(word)? {
            Entry::One(phonemes) => Some(phonemes),
            Entry::ByTag(homograph) => homograph.default(),
        }
    }

    fn entry(&self, slot: Slot) -> Option<Entry<'_>> {
        match slot {
            Slot::Phonemes { start, len } => {
                let start = start as usize;
                self.phonemes.get(start..start + len as usize).map(Entry::One)
            }
            Slot::Homograph(index) => self.homographs.get(index as usize).map(Entry::ByTag),
        }
    }
}

/// The word with its first letter in upper case.
pub(super) fn capitalized(lower: &str) -> String {
    let mut chars = lower.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
