//! The network: an encoder that hears 30 s, and a decoder that says what comes
//! next after the tokens said so far.

use candle_core::{D, Device, Result, Tensor};

use super::{FRAMES, config::Config, weights::Weights};
use crate::HearError;

const EPSILON: f64 = 1e-5;

pub(super) struct Network {
    bands: usize,
    encoder: Encoder,
    decoder: Decoder,
}

/// What the encoder heard, as the decoder's layers look at it.
pub(super) struct Heard(Vec<KeysValues>);

/// What has been said so far, as the decoder's layers remember it.
#[derive(Default)]
pub(super) struct Said {
    tokens: usize,
    layers: Vec<KeysValues>,
}

struct Encoder {
    conv1: Linear,
    conv2: Linear,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
}

struct Decoder {
    tokens: Tensor,
    positions: Tensor,
    layers: Vec<(Layer, Norm, Attention)>,
    norm: Norm,
}

struct Layer {
    norm: Norm,
    attention: Attention,
    inner_norm: Norm,
    widen: Linear,
    narrow: Linear,
}

struct Attention {
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

/// Head by head, row by row.
#[derive(Clone)]
struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

struct Linear {
    /// Inputs by outputs.
    weight: Tensor,
    bias: Option<Tensor>,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Network {
    pub(super) fn load(weights: &Weights<'_>, config: &Config) -> std::result::Result<Self, HearError> {
        Ok(Self {
            bands: config.num_mel_bins,
            encoder: Encoder::load(weights, config)?,
            decoder: Decoder::load(weights, config)?,
        })
    }

    /// Most tokens that the decoder may have said.
    pub(super) fn most_tokens(&self) -> usize {
        self.decoder.positions.dims()[0]
    }

    /// Hears 30 s of features, frame by frame.
    pub(super) fn encode(&self, features: &[f32]) -> Result<Heard> {
        let features = Tensor::from_slice(features, (FRAMES, self.bands), &Device::Cpu)?;
        let heard = self.encoder.forward(&features)?;
        let layers = self.decoder.layers.iter().map(|(_, _, attention)| attention.keys_values(&heard));
        Ok(Heard(layers.collect::<Result<_>>()?))
    }

    /// For every token how likely it is to come next, as logits.
    pub(super) fn next(&self, heard: &Heard, said: &mut Said, tokens: &[u32]) -> Result<Vec<f32>> {
        self.decoder.forward(heard, said, tokens)?.to_vec1()
    }

    #[cfg(test)]
    pub(super) fn encoded(&self, features: &[f32]) -> Result<Tensor> {
        self.encoder.forward(&Tensor::from_slice(features, (FRAMES, self.bands), &Device::Cpu)?)
    }
}

impl Encoder {
    fn load(weights: &Weights<'_>, config: &Config) -> std::result::Result<Self, HearError> {
        let width = config.d_model;
        let layer = |number| {
            let name = format!("model.encoder.layers.{number}.");
            Layer::load(weights, &name, width, config.encoder_ffn_dim, config.encoder_attention_heads)
        };
        let conv1 = Linear::convolution(weights, "model.encoder.conv1.", config.num_mel_bins, width)?;
        let positions = &[config.max_source_positions, width];
        Ok(Self {
            conv1,
            conv2: Linear::convolution(weights, "model.encoder.conv2.", width, width)?,
            positions: weights.get("model.encoder.embed_positions.weight", positions)?,
            layers: (0..config.encoder_layers).map(layer).collect::<std::result::Result<_, _>>()?,
            norm: Norm::load(weights, "model.encoder.layer_norm.", width)?,
        })
    }

    fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(&neighbours(features, 1)?)?.gelu_erf()?;
        let x = self.conv2.forward(&neighbours(&x, 2)?)?.gelu_erf()?;
        let mut x = (x + &self.positions)?;
        for layer in &self.layers {
            let normed = layer.norm.forward(&x)?;
            let own = layer.attention.keys_values(&normed)?;
            x = (x + layer.attention.forward(&normed, &own, false)?)?;
            x = layer.feed_forward(&x)?;
        }
        self.norm.forward(&x)
    }
}

impl Decoder {
    fn load(weights: &Weights<'_>, config: &Config) -> std::result::Result<Self, HearError> {
        let (width, heads) = (config.d_model, config.decoder_attention_heads);
        let layer = |number| {
            let name = format!("model.decoder.layers.{number}.");
            let layer = Layer::load(weights, &name, width, config.decoder_ffn_dim, heads)?;
            let norm = Norm::load(weights, &format!("{name}encoder_attn_layer_norm."), width)?;
            Ok((layer, norm, Attention::load(weights, &format!("{name}encoder_attn."), width, heads)?))
        };
        let positions = &[config.max_target_positions, width];
        Ok(Self {
            tokens: weights.get("model.decoder.embed_tokens.weight", &[config.vocab_size, width])?,
            positions: weights.get("model.decoder.embed_positions.weight", positions)?,
            layers: (0..config.decoder_layers).map(layer).collect::<std::result::Result<_, HearError>>()?,
            norm: Norm::load(weights, "model.decoder.layer_norm.", width)?,
        })
    }

    fn forward(&self, heard: &Heard, said: &mut Said, tokens: &[u32]) -> Result<Tensor> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?;
        let count = tokens.elem_count();
        let positions = self.positions.narrow(0, said.tokens, count)?;
        let mut x = (self.tokens.index_select(&tokens, 0)? + positions)?;
        let mut remembered = std::mem::take(&mut said.layers).into_iter();
        for ((layer, norm, across), heard) in self.layers.iter().zip(&heard.0) {
            let normed = layer.norm.forward(&x)?;
            let now = layer.attention.keys_values(&normed)?;
            let all = match remembered.next() {
                Some(before) => before.followed_by(&now)?,
                None => now,
            };
            x = (x + layer.attention.forward(&normed, &all, true)?)?;
            x = (&x + across.forward(&norm.forward(&x)?, heard, false)?)?;
            x = layer.feed_forward(&x)?;
            said.layers.push(all);
        }
        said.tokens += count;
        let last = self.norm.forward(&x.narrow(0, count - 1, 1)?)?;
        last.matmul(&self.tokens.t()?)?.flatten_all()
    }
}

impl Layer {
    fn load(
        weights: &Weights<'_>,
        name: &str,
        width: usize,
        inner: usize,
        heads: usize,
    ) -> std::result::Result<Self, HearError> {
        Ok(Self {
            norm: Norm::load(weights, &format!("{name}self_attn_layer_norm."), width)?,
            attention: Attention::load(weights, &format!("{name}self_attn."), width, heads)?,
            inner_norm: Norm::load(weights, &format!("{name}final_layer_norm."), width)?,
            widen: Linear::load(weights, &format!("{name}fc1."), width, inner, true)?,
            narrow: Linear::load(weights, &format!("{name}fc2."), inner, width, true)?,
        })
    }

    fn feed_forward(&self, x: &Tensor) -> Result<Tensor> {
        let wide = self.widen.forward(&self.inner_norm.forward(x)?)?.gelu_erf()?;
        x + self.narrow.forward(&wide)?
    }
}

impl Attention {
    fn load(
        weights: &Weights<'_>,
        name: &str,
        width: usize,
        heads: usize,
    ) -> std::result::Result<Self, HearError> {
        let linear = |part: &str, bias| Linear::load(weights, &format!("{name}{part}."), width, width, bias);
        Ok(Self {
            heads,
            query: linear("q_proj", true)?,
            key: linear("k_proj", false)?,
            value: linear("v_proj", true)?,
            out: linear("out_proj", true)?,
        })
    }

    fn keys_values(&self, x: &Tensor) -> Result<KeysValues> {
        let keys = self.by_head(&self.key.forward(x)?)?;
        Ok(KeysValues { keys, values: self.by_head(&self.value.forward(x)?)? })
    }

    /// Rows that look at others: at all of them, or, each being one of the last
    /// of them, at those before it and at itself.
    fn forward(&self, x: &Tensor, others: &KeysValues, back_only: bool) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let scale = ((width / self.heads) as f64).powf(-0.5);
        let queries = (self.by_head(&self.query.forward(x)?)? * scale)?;
        let mut scores = queries.matmul(&others.keys.t()?)?;
        if back_only && rows > 1 {
            scores = scores.broadcast_add(&hide_later(rows, others.keys.dim(1)?)?)?;
        }
        let seen = softmax(&scores)?.matmul(&others.values)?;
        self.out.forward(&seen.transpose(0, 1)?.contiguous()?.reshape((rows, width))?)
    }

    fn by_head(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        x.reshape((rows, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()
    }
}

impl KeysValues {
    fn followed_by(&self, now: &Self) -> Result<Self> {
        let join = |before, now| Tensor::cat(&[before, now], 1);
        Ok(Self { keys: join(&self.keys, &now.keys)?, values: join(&self.values, &now.values)? })
    }
}

impl Linear {
    fn load(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> std::result::Result<Self, HearError> {
        let bias = bias.then(|| weights.get(&format!("{name}bias"), &[outputs])).transpose()?;
        let weight = weights.get(&format!("{name}weight"), &[outputs, inputs])?;
        Ok(Self { weight: weight.t()?, bias })
    }

    /// A convolution over three frames, as a product with them side by side.
    fn convolution(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Self, HearError> {
        let weight = weights.get(&format!("{name}weight"), &[outputs, inputs, 3])?;
        let weight = weight.permute((2, 1, 0))?.contiguous()?.reshape((3 * inputs, outputs))?;
        Ok(Self { weight, bias: Some(weights.get(&format!("{name}bias"), &[outputs])?) })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let product = x.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}

impl Norm {
    fn load(weights: &Weights<'_>, name: &str, width: usize) -> std::result::Result<Self, HearError> {
        let get = |part: &str| weights.get(&format!("{name}{part}"), &[width]);
        Ok(Self { weight: get("weight")?, bias: get("bias")? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + EPSILON)?.sqrt()?;
        centred.broadcast_div(&deviation)?.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

/// Every `stride`th frame with the one before and the one after it.
fn neighbours(x: &Tensor, stride: usize) -> Result<Tensor> {
    let (frames, width) = x.dims2()?;
    let padded = x.pad_with_zeros(0, 1, 1)?;
    let shifted = |shift| -> Result<Tensor> {
        let frames = padded.narrow(0, shift, frames)?.reshape((frames / stride, stride, width))?;
        frames.narrow(1, 0, 1)?.squeeze(1)
    };
    Tensor::cat(&[shifted(0)?, shifted(1)?, shifted(2)?], 1)
}

/// What is added to the scores of rows that are the last of all.
fn hide_later(rows: usize, all: usize) -> Result<Tensor> {
    let hidden = |row: usize, other: usize| if other > row + all - rows { f32::NEG_INFINITY } else { 0.0 };
    let mask = (0..rows).flat_map(|row| (0..all).map(move |other| hidden(row, other)));
    Tensor::from_vec(mask.collect(), (rows, all), &Device::Cpu)
}

fn softmax(scores: &Tensor) -> Result<Tensor> {
    let powers = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}
