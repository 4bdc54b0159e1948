//! Guessing how an unknown word sounds: a small character transformer whose
//! output is read like CTC, repeats collapsed and blanks dropped.

use std::collections::HashMap;

use candle_core::{D, Device, Result, Tensor};
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

use super::tables::{read_json, unusable};
use crate::{FolderError, ModelFolder};

const TABLE: &str = "oov.json";
const WEIGHTS: &str = "oov.safetensors";
const LAYERS: usize = 4;
const HEADS: usize = 4;
const EPSILON: f64 = 1e-5;
/// The longest words the network takes are far below this.
const MAX_LETTERS: usize = 1000;

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
#[derive(Debug)]
pub(super) struct Guesser {
    letters: HashMap<char, u32>,
    phonemes: Vec<String>,
    max_letters: usize,
    classes: usize,
    embedding: Tensor,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
}

impl Guesser {
    pub(super) fn load(folder: &ModelFolder) -> std::result::Result<Self, FolderError> {
        let symbols: Symbols = read_json(folder, TABLE)?;
        if symbols.maxlen == 0 || symbols.maxlen > MAX_LETTERS {
            return Err(unusable(TABLE, "maxlen is out of range"));
        }
        let bytes = folder.bytes(WEIGHTS)?;
        let guesser = Self::assemble(symbols, bytes).map_err(|error| unusable(WEIGHTS, error))?;
        // Weights of other shapes than these show themselves here, not later.
        let longest = vec![1; guesser.max_letters];
        guesser.classify(&longest).map_err(|error| unusable(WEIGHTS, error))?;
        Ok(guesser)
    }

    fn assemble(symbols: Symbols, bytes: &[u8]) -> Result<Self> {
        let tensors = Weights(candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?);
        let single = |(index, letter): (usize, &String)| {
            Some((letter.chars().next()?, u32::try_from(index + 1).ok()?))
        };
        let embedding = tensors.get("m.emb.weight")?;
        let known = embedding.dim(0)?;
        if known <= symbols.letters.len() {
            candle_core::bail!("{known} letters, but {TABLE} lists {}", symbols.letters.len());
        }
        let head = tensors.linear("m.head.")?;
        let classes = symbols.phonemes.len() + 1;
        if Some(head.bias.dim(0)?) != classes.checked_mul(symbols.slots) {
            candle_core::bail!("the output does not fit the phonemes of {TABLE}");
        }
        Ok(Self {
            letters: symbols.letters.iter().enumerate().filter_map(single).collect(),
            phonemes: symbols.phonemes,
            max_letters: symbols.maxlen,
            classes,
            embedding,
            positions: tensors.get("m.pos")?,
            layers: (0..LAYERS).map(|index| Layer::new(&tensors, index)).collect::<Result<_>>()?,
            norm: tensors.norm("m.norm.")?,
            head,
        })
    }

    /// Phonemes of a word; empty when none of its letters is known. Words
    /// longer than the network takes are guessed part by part.
    pub(super) fn guess(&self, word: &str) -> Result<String> {
        let ids: Vec<u32> = word.chars().flat_map(|letter| self.ids(letter)).collect();
        let parts = ids.len().div_ceil(self.max_letters);
        let mut phonemes = String::new();
        for part in ids.chunks(ids.len().div_ceil(parts.max(1)).max(1)) {
            let mut previous = 0;
            for class in self.classify(part)? {
                if class != previous && class > 0 {
                    phonemes.push_str(self.phonemes.get(class as usize - 1).map_or("", String::as_str));
                }
                previous = class;
            }
        }
        Ok(phonemes)
    }

    /// A letter's number, or those of its parts without accents.
    fn ids(&self, letter: char) -> Vec<u32> {
        match self.letters.get(&letter) {
            Some(id) => vec![*id],
            None => letter.nfkd().filter_map(|part| self.letters.get(&part).copied()).collect(),
        }
    }

    /// The likeliest class of every slot; 0 is blank.
    fn classify(&self, ids: &[u32]) -> Result<Vec<u32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let length = ids.dim(0)?;
        let mut x = (self.embedding.index_select(&ids, 0)? + self.positions.narrow(0, 0, length)?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let scores = self.head.forward(&self.norm.forward(&x)?)?;
        scores.reshape(((), self.classes))?.argmax(D::Minus1)?.to_vec1()
    }
}

/// Named tensors of a file.
struct Weights(HashMap<String, Tensor>);

impl Weights {
    fn get(&self, name: &str) -> Result<Tensor> {
        let found =
            self.0.get(name).ok_or_else(|| candle_core::Error::Msg(format!("there is no tensor {name}")))?;
        found.to_dtype(candle_core::DType::F32)
    }

    fn linear(&self, prefix: &str) -> Result<Linear> {
        Ok(Linear {
            weight: self.get(&format!("{prefix}weight"))?,
            bias: self.get(&format!("{prefix}bias"))?,
        })
    }

    fn norm(&self, prefix: &str) -> Result<Norm> {
        Ok(Norm { weight: self.get(&format!("{prefix}weight"))?, bias: self.get(&format!("{prefix}bias"))? })
    }
}

#[derive(Debug)]
struct Linear {
    /// `[in, out]`
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight)?.broadcast_add(&self.bias)
    }
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + EPSILON)?.sqrt()?;
        centred.broadcast_div(&deviation)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

/// A transformer layer that normalises before each half.
#[derive(Debug)]
struct Layer {
    norm1: Norm,
    attend: Linear,
    project: Linear,
    norm2: Norm,
    widen: Linear,
    narrow: Linear,
}

impl Layer {
    fn new(tensors: &Weights, index: usize) -> Result<Self> {
        let name = |part: &str| format!("m.layers.{index}.{part}");
        Ok(Self {
            norm1: tensors.norm(&name("norm1."))?,
            attend: tensors.linear(&name("self_attn.in_proj_"))?,
            project: tensors.linear(&name("self_attn.out_proj."))?,
            norm2: tensors.norm(&name("norm2."))?,
            widen: tensors.linear(&name("linear1."))?,
            narrow: tensors.linear(&name("linear2."))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = (x + self.attention(&self.norm1.forward(x)?)?)?;
        let wide = self.widen.forward(&self.norm2.forward(&x)?)?.gelu_erf()?;
        &x + self.narrow.forward(&wide)?
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor> {
        let (length, width) = x.dims2()?;
        // [3, heads, length, width of a head]
        let split =
            self.attend.forward(x)?.reshape((length, 3, HEADS, width / HEADS))?.permute((1, 2, 0, 3))?;
        let part = |index| split.get(index)?.contiguous();
        let (query, key, value) = (part(0)?, part(1)?, part(2)?);
        #[expect(clippy::cast_precision_loss, reason = "a head is a few dozen numbers wide")]
        let scale = 1.0 / ((width / HEADS) as f64).sqrt();
        let scores = (query.matmul(&key.t()?)? * scale)?;
        let raised = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = raised.broadcast_div(&raised.sum_keepdim(D::Minus1)?)?;
        let mixed = weights.matmul(&value)?.permute((1, 0, 2))?.reshape((length, width))?;
        self.project.forward(&mixed)
    }
}
