//! The quality estimate: DNSMOS P.808, a small convolutional network that
//! predicts what listeners would say of a recording.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use crate::{
    Clip, HearError,
    mel::{Mel, RATE},
};

const WEIGHTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mos.safetensors"));
/// The licence of the network inside (MIT).
pub const MOS_LICENCE: &str = include_str!(concat!(env!("OUT_DIR"), "/mos-licence.txt"));

/// What the network hears at once, 9 s.
const SAMPLES: usize = 144_000;
const WINDOW: usize = 321;
const HOP: usize = 160;
const BANDS: usize = 120;
const FRAMES: usize = 900;
/// Powers below are taken for this.
const LEAST_POWER: f32 = 1e-10;
/// Decibels below the loudest that are still heard.
const RANGE: f32 = 80.0;
/// After which convolutions the picture is halved.
const HALVED: [bool; 5] = [true, true, false, true, false];

/// Estimates what people would say of the quality, from 1 to 5.
pub struct Mos {
    mel: Mel,
    convolutions: Vec<Layer>,
    dense: Vec<Layer>,
}

struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Mos {
    /// Reads the weights that are compiled into the binary.
    ///
    /// # Errors
    /// [`HearError::Weights`].
    pub fn load() -> Result<Self, HearError> {
        let unusable = |error: candle_core::Error| HearError::Weights(error.to_string());
        let tensors = candle_core::safetensors::load_buffer(WEIGHTS, &Device::Cpu).map_err(unusable)?;
        let layers = |kind: &str, count: usize, shape: &[usize]| -> Result<Vec<Layer>, HearError> {
            (0..count).map(|place| layer(&tensors, &format!("{kind}.{place}"), shape)).collect()
        };
        Ok(Self {
            mel: Mel::new(WINDOW, HOP, BANDS),
            convolutions: layers("conv", HALVED.len(), &[1, 0, 1, 1])?,
            dense: layers("dense", 3, &[1, 0])?,
        })
    }

    /// The estimate for a clip. A short clip is heard again and again, a long
    /// one in pieces of 9 s, whose scores are averaged.
    ///
    /// # Errors
    /// [`HearError`]: the clip is empty, too long or no audio.
    pub fn score(&self, clip: &Clip) -> Result<f32, HearError> {
        clip.check()?;
        let clip = clip.at(RATE);
        let samples = &clip.samples;
        let pieces = samples.len().div_ceil(SAMPLES).max(1);
        let mut sum = 0.0;
        for piece in 0..pieces {
            let rest = samples.len().saturating_sub(SAMPLES);
            let start = piece * rest / (pieces - 1).max(1);
            sum += self.estimate(&self.features(&samples[start..]))?;
        }
        Ok(sum / pieces as f32)
    }

    /// Decibels relative to the loudest, −1 to 1, frame by frame.
    fn features(&self, samples: &[f32]) -> Vec<f32> {
        let edge = std::iter::repeat_n(0.0, WINDOW / 2);
        let heard = samples.iter().copied().cycle().take(SAMPLES);
        let padded: Vec<f32> = edge.clone().chain(heard).chain(edge).collect();
        let mut powers = self.mel.powers(&padded);
        let loudest = powers.iter().copied().fold(LEAST_POWER, f32::max);
        for power in &mut powers {
            let decibels = 10.0 * (power.max(LEAST_POWER) / loudest).log10();
            *power = (decibels.max(-RANGE) + 40.0) / 40.0;
        }
        powers
    }

    fn estimate(&self, features: &[f32]) -> Result<f32, HearError> {
        let mut x = Tensor::from_slice(features, (1, 1, FRAMES, BANDS), &Device::Cpu)?;
        for (Layer { weight, bias }, halved) in self.convolutions.iter().zip(HALVED) {
            x = x.conv2d(weight, 1, 1, 1, 1)?;
            // The greatest of four stays the greatest; there is less to do after.
            if halved {
                x = x.max_pool2d(2)?;
            }
            x = x.broadcast_add(bias)?.relu()?;
        }
        let mut x = x.flatten_from(2)?.max(2)?;
        for (place, Layer { weight, bias }) in self.dense.iter().enumerate() {
            x = x.matmul(weight)?.broadcast_add(bias)?;
            if place + 1 < self.dense.len() {
                x = x.relu()?;
            }
        }
        match x.flatten_all()?.to_vec1::<f32>()?[..] {
            [score] if score.is_finite() => Ok(score),
            _ => Err(HearError::Inference("the quality estimate is not a number".to_owned())),
        }
    }
}

/// A layer's tensors, the bias shaped to be added to its outputs: 0 stands for
/// their number.
fn layer(tensors: &HashMap<String, Tensor>, name: &str, shape: &[usize]) -> Result<Layer, HearError> {
    let find = |part: &str| {
        let found = tensors.get(&format!("{name}.{part}"));
        found.cloned().ok_or_else(|| HearError::Weights(format!("{name}.{part} is missing")))
    };
    let bias = find("bias")?;
    let outputs = bias.elem_count();
    let shape: Vec<usize> = shape.iter().map(|size| if *size == 0 { outputs } else { *size }).collect();
    let bias = bias.reshape(shape).map_err(|error| HearError::Weights(error.to_string()))?;
    Ok(Layer { weight: find("weight")?, bias })
}

#[cfg(test)]
mod tests;
