//! Guessing how an unknown word sounds: a small character transformer whose
//! output is read like CTC, repeats collapsed and blanks dropped.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::tables::{read_json, unusable};
use crate::{
    FolderError, ModelFolder,
    hibari::{
        ops::{Activation, LayerNorm, Linear},
        transformer::{LayerShape, TransformerLayer},
        weights::Weights,
    },
};

const TABLE: &str = "oov.json";
const WEIGHTS: &str = "oov.safetensors";
const CHANNELS: usize = 128;
const LAYERS: usize = 4;
const LAYER: LayerShape = LayerShape { channels: CHANNELS, hidden: 384, heads: 4 };

#[derive(Deserialize)]
struct Symbols {
    #[serde(rename = "in")]
    letters: Vec<String>,
    #[serde(rename = "out")]
    phonemes: Vec<String>,
    /// Outputs for each letter.
    slots: usize,
    maxlen: usize,
}

/// The network for words outside the vocabulary.
pub(super) struct Guesser {
    letters: HashMap<char, usize>,
    phonemes: Vec<String>,
    max_letters: usize,
    embedding: Vec<f32>,
    positions: Vec<f32>,
    layers: Vec<TransformerLayer>,
    norm: LayerNorm,
    head: Linear,
}

impl Guesser {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let symbols: Symbols = read_json(folder, TABLE)?;
        let classes = (symbols.phonemes.len() + 1).checked_mul(symbols.slots);
        let classes = classes.filter(|classes| *classes > 0 && symbols.maxlen > 0);
        let classes = classes.ok_or_else(|| unusable(TABLE, "slots or maxlen is out of range"))?;
        Self::assemble(symbols, classes, folder.bytes(WEIGHTS)?).map_err(|error| match error {
            FolderError::Weights(why) => unusable(WEIGHTS, why),
            other => other,
        })
    }

    fn assemble(symbols: Symbols, classes: usize, bytes: &[u8]) -> Result<Self, FolderError> {
        let weights = Weights::read(bytes)?;
        let row = |(index, letter): (usize, &String)| Some((letter.chars().next()?, index + 1));
        let layer = |index| TransformerLayer::load(&weights, &format!("m.layers.{index}."), LAYER);
        Ok(Self {
            letters: symbols.letters.iter().enumerate().filter_map(row).collect(),
            embedding: weights.values("m.emb.weight", &[symbols.letters.len() + 1, CHANNELS])?,
            positions: weights.values("m.pos", &[symbols.maxlen, CHANNELS])?,
            layers: (0..LAYERS).map(layer).collect::<Result<_, _>>()?,
            norm: LayerNorm::load(&weights, "m.norm.", CHANNELS)?,
            head: Linear::load(&weights, "m.head.", [CHANNELS, classes], Activation::None)?,
            phonemes: symbols.phonemes,
            max_letters: symbols.maxlen,
        })
    }

    /// Phonemes of a word; empty when none of its letters is known. Words
    /// longer than the network takes are guessed part by part.
    pub(super) fn guess(&self, word: &str) -> candle_core::Result<String> {
        let rows: Vec<usize> = word.chars().flat_map(|letter| self.rows(letter)).collect();
        let parts = rows.len().div_ceil(self.max_letters).max(1);
        let mut phonemes = String::new();
        for part in rows.chunks(rows.len().div_ceil(parts).max(1)) {
            let mut previous = None;
            for class in self.classify(part)? {
                if class != previous {
                    phonemes.push_str(
                        class.and_then(|class| self.phonemes.get(class)).map_or("", String::as_str),
                    );
                }
                previous = class;
            }
        }
        Ok(phonemes)
    }

    /// A letter's row in the embedding, or those of its parts without accents.
    fn rows(&self, letter: char) -> Vec<usize> {
        match self.letters.get(&letter) {
            Some(row) => vec![*row],
            None => letter.nfkd().filter_map(|part| self.letters.get(&part).copied()).collect(),
        }
    }

    /// The likeliest phoneme of every slot, or none.
    fn classify(&self, letters: &[usize]) -> candle_core::Result<Vec<Option<usize>>> {
        let embedded = letters.iter().flat_map(|row| &self.embedding[row * CHANNELS..][..CHANNELS]);
        let placed = embedded.zip(&self.positions).map(|(value, position)| value + position).collect();
        let mut x = Tensor::from_vec(placed, (letters.len(), CHANNELS), &Device::Cpu)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let scores = x.apply_op1_no_bwd(&self.norm)?.apply_op1_no_bwd(&self.head)?;
        let scores: Vec<f32> = scores.flatten_all()?.to_vec1()?;
        Ok(scores.chunks_exact(self.phonemes.len() + 1).map(likeliest).collect())
    }
}

/// The first of the highest scores; the blank, which comes first, is `None`.
fn likeliest(scores: &[f32]) -> Option<usize> {
    let best = scores.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
    best.and_then(|(class, _)| class.checked_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_scores_wins_and_the_blank_is_none() {
        assert_eq!(likeliest(&[1.0, 0.0, 0.5]), None);
        assert_eq!(likeliest(&[0.0, 2.0, 2.0]), Some(0));
        assert_eq!(likeliest(&[0.0, 1.0, 2.0]), Some(1));
    }
}
