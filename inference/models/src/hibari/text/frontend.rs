//! The frontend as a whole.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use ttsfleet_reading::{Normalizer, Words, plain_signs};

use super::{
    characters, markup,
    pronounce::Pronouncer,
    split,
    stress::is_audible,
    tables::{read_json, unusable},
};
use crate::{Entry, FolderError, ModelFolder, SpeechError};

const WORDS: &str = "normalize.json";

/// Turns text into phonemes of the voice's alphabet. Shared by all threads.
pub struct Frontend {
    normalizer: Normalizer,
    pronouncer: Pronouncer,
    alphabet: HashSet<char>,
}

/// A text as it is to be said.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reading {
    /// In order.
    pub parts: Vec<Part>,
    /// Letters of the text that the voice cannot speak, and that are left out.
    pub skipped_chars: usize,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Words, and how many times as fast as the text they are to be spoken.
    Sentence(Sentence, f32),
    /// Silence.
    Pause(Duration),
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
        })
    }

    /// The sentences of a text with their phonemes, and the pauses among them.
    /// There may be neither. The words of `lexicon` are said as it says.
    ///
    /// # Errors
    /// [`SpeechError::Inference`] when the network for unknown words fails.
    pub fn read(&self, text: &str, lexicon: &[Entry]) -> Result<Reading, SpeechError> {
        let marked = markup::read(text, lexicon);
        let mut reading = Reading::default();
        for part in &marked.parts {
            match part {
                markup::Part::Pause(length) => reading.parts.push(Part::Pause(*length)),
                markup::Part::Words { text, rate } => {
                    let cleaned = characters::clean(&plain_signs(text));
                    reading.skipped_chars += cleaned.skipped;
                    for sentence in self.sentences(&cleaned.text, &marked.given)? {
                        reading.parts.push(Part::Sentence(sentence, *rate));
                    }
                }
            }
        }
        Ok(reading)
    }

    fn sentences(&self, cleaned: &str, given: &[String]) -> Result<Vec<Sentence>, SpeechError> {
        let mut sentences = Vec::new();
        for sentence in split::sentences(cleaned, &self.normalizer) {
            let phonemes = self.phonemes(sentence, given)?;
            let parts = split::parts(&phonemes).into_iter().filter(|part| is_audible(part));
            sentences.extend(parts.map(|phonemes| Sentence { text: sentence.to_owned(), phonemes }));
        }
        Ok(sentences)
    }

    fn phonemes(&self, sentence: &str, given: &[String]) -> Result<String, SpeechError> {
        let spoken = self.pronouncer.phonemes(&self.normalizer.normalize(sentence), given)?;
        let known: String = spoken.chars().filter(|phoneme| self.alphabet.contains(phoneme)).collect();
        Ok(known.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Reading {
    /// Its sentences.
    pub fn sentences(&self) -> impl Iterator<Item = &Sentence> {
        self.parts.iter().filter_map(|part| match part {
            Part::Sentence(sentence, _) => Some(sentence),
            Part::Pause(_) => None,
        })
    }
}
