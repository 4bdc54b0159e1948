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
        ops::{Activation, Attention, LayerNorm, Linear},
        weights::Weights,
    },
};

const TABLE: &str = "oov.json";
const WEIGHTS: &str = "oov.safetensors";
const CHANNELS: usize = 128;
const HIDDEN: usize = 384;
const LAYERS: usize = 4;
const HEADS: usize = 4;

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
    layers: Vec<Layer>,
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
        Ok(Self {
            letters: symbols.letters.iter().enumerate().filter_map(row).collect(),
            embedding: weights.values("m.emb.weight", &[symbols.letters.len() + 1, CHANNELS])?,
            positions: weights.values("m.pos", &[symbols.maxlen, CHANNELS])?,
            layers: (0..LAYERS).map(|index| Layer::load(&weights, index)).collect::<Result<_, _>>()?,
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

/// A transformer layer that normalises before each half.
struct Layer {
    attention_norm: LayerNorm,
    project_in: Linear,
    attention: Attention,
    project_out: Linear,
    feed_norm: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl Layer {
    fn load(weights: &Weights<'_>, index: usize) -> Result<Self, FolderError> {
        let name = |part: &str| format!("m.layers.{index}.{part}");
        let linear = |part: &str, sizes, activation| Linear::load(weights, &name(part), sizes, activation);
        Ok(Self {
            attention_norm: LayerNorm::load(weights, &name("norm1."), CHANNELS)?,
            project_in: linear("self_attn.in_proj_", [CHANNELS, 3 * CHANNELS], Activation::None)?,
            attention: Attention { channels: CHANNELS, heads: HEADS },
            project_out: linear("self_attn.out_proj.", [CHANNELS, CHANNELS], Activation::None)?,
            feed_norm: LayerNorm::load(weights, &name("norm2."), CHANNELS)?,
            widen: linear("linear1.", [CHANNELS, HIDDEN], Activation::Gelu)?,
            narrow: linear("linear2.", [HIDDEN, CHANNELS], Activation::None)?,
        })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mixed = x.apply_op1_no_bwd(&self.attention_norm)?.apply_op1_no_bwd(&self.project_in)?;
        let x = x.apply_op2_no_bwd(&mixed.apply_op1_no_bwd(&self.attention)?, &self.project_out)?;
        let hidden = x.apply_op1_no_bwd(&self.feed_norm)?.apply_op1_no_bwd(&self.widen)?;
        x.apply_op2_no_bwd(&hidden, &self.narrow)
    }
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
