//! The frontend as a whole.

use std::collections::{BTreeMap, HashSet};

use ttsfleet_reading::{Normalizer, Words, plain_signs};

use super::{
    characters,
    pronounce::Pronouncer,
    split,
    stress::is_audible,
    tables::{read_json, unusable},
};
use crate::{FolderError, ModelFolder, SpeechError};

const WORDS: &str = "normalize.json";

/// Turns text into phonemes of the voice's alphabet. Shared by all threads.
pub struct Frontend {
    normalizer: Normalizer,
    pronouncer: Pronouncer,
    alphabet: HashSet<char>,
    languages: String,
}

/// What the network is given at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence as it stands in the text; the parts of one too long for
    /// the network share it.
    pub text: String,
    /// Its phonemes, every character one of the voice's alphabet, with at
    /// least one that sounds.
    pub phonemes: String,
}

impl Frontend {
    /// Reads the tables of a model folder.
    ///
    /// # Errors
    /// [`FolderError::Missing`] or [`FolderError::Weights`], naming the table.
    pub fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let words: Words = read_json(folder, WORDS)?;
        let vocabulary: BTreeMap<char, u32> = read_json(folder, "vocab.json")?;
        Ok(Self {
            normalizer: Normalizer::new(words).map_err(|error| unusable(WORDS, error))?,
            pronouncer: Pronouncer::load(folder)?,
            alphabet: vocabulary.into_keys().collect(),
            languages: folder.manifest().languages.join(", "),
        })
    }

    /// The sentences of a text with their phonemes, in order.
    ///
    /// # Errors
    /// [`SpeechError::UnsupportedScript`], [`SpeechError::NothingToSpeak`], or
    /// [`SpeechError::Inference`] when the network for unknown words fails.
    pub fn sentences(&self, text: &str) -> Result<Vec<Sentence>, SpeechError> {
        let cleaned = characters::clean(&plain_signs(text), &self.languages)?;
        let mut sentences = Vec::new();
        for sentence in split::sentences(&cleaned, &self.normalizer) {
            let phonemes = self.phonemes(sentence)?;
            let parts = split::parts(&phonemes).into_iter().filter(|part| is_audible(part));
            sentences.extend(parts.map(|phonemes| Sentence { text: sentence.to_owned(), phonemes }));
        }
        if sentences.is_empty() { Err(SpeechError::NothingToSpeak) } else { Ok(sentences) }
    }

    fn phonemes(&self, sentence: &str) -> Result<String, SpeechError> {
        let spoken = self.pronouncer.phonemes(&self.normalizer.normalize(sentence))?;
        let known: String = spoken.chars().filter(|phoneme| self.alphabet.contains(phoneme)).collect();
        Ok(known.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
