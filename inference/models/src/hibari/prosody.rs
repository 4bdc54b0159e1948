use candle_core::{Device, Tensor, bail};

use super::{
    convnext::{ConvNext, Shape},
    encoder::Encoder,
    ops::{Activation, Linear, Unfold},
    weights::Weights,
};
use crate::FolderError;

const CHANNELS: usize = 192;
const DILATIONS: [usize; 6] = [1, 2, 4, 8, 1, 2];
const F0_UNIT: f32 = 100.0;
const ENERGY_UNIT: f32 = 5.0;
/// No phoneme lasts longer, in steps of 25 ms at normal speed: a guard against
/// weights that ask for hours.
const MAX_STEPS: f32 = 80.0;

/// How a sentence is to be said.
pub(super) struct Prosody {
    /// For every step of 25 ms, which phoneme is said.
    pub(super) phonemes: Vec<u32>,
    /// Pitch in Hz, two values a step.
    pub(super) f0: Vec<f32>,
    /// Loudness, two values a step.
    pub(super) energy: Vec<f32>,
}

/// Predicts durations, pitch and loudness.
pub(super) struct ProsodyNet {
    encoder: Encoder,
    neighbours: Unfold,
    duration_in: Linear,
    duration_out: Linear,
    contour_in: Linear,
    blocks: Vec<ConvNext>,
    contour_out: Linear,
}

impl ProsodyNet {
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self, FolderError> {
        let shape = Shape { channels: CHANNELS, hidden: 2 * CHANNELS, kernel: 7 };
        let blocks = DILATIONS.iter().enumerate();
        let blocks = blocks
            .map(|(index, dilation)| ConvNext::load(weights, &format!("pn.pro.{index}."), shape, *dilation));
        let conv = |name: &str, outputs, kernel, activation| {
            Linear::load_convolution(weights, name, [CHANNELS, outputs], kernel, activation)
        };
        Ok(Self {
            encoder: Encoder::load(weights, "pn.text.", CHANNELS, 6)?,
            neighbours: Unfold { channels: CHANNELS, kernel: 3 },
            duration_in: conv("pn.dur.0.", CHANNELS, 3, Activation::Gelu)?,
            duration_out: conv("pn.dur.2.", 1, 1, Activation::None)?,
            contour_in: conv("pn.pro_in.", CHANNELS, 1, Activation::None)?,
            blocks: blocks.collect::<Result<_, _>>()?,
            contour_out: conv("pn.pro_out.", 4, 1, Activation::None)?,
        })
    }

    pub(super) fn forward(&self, symbols: &Tensor, speed: f32) -> candle_core::Result<Prosody> {
        let text = self.encoder.forward(symbols)?;
        let hidden = text.apply_op1_no_bwd(&self.neighbours)?.apply_op1_no_bwd(&self.duration_in)?;
        let logs = hidden.apply_op1_no_bwd(&self.duration_out)?.flatten_all()?.to_vec1()?;
        let phonemes = stretch(&logs, speed)?;

        let steps = Tensor::new(&phonemes[..], &Device::Cpu)?;
        let mut x = text.index_select(&steps, 0)?.apply_op1_no_bwd(&self.contour_in)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let contours = x.apply_op1_no_bwd(&self.contour_out)?.to_vec2::<f32>()?;
        let pair = |channel: usize, unit: f32| {
            contours.iter().flat_map(|step| [step[channel] * unit, step[channel + 1] * unit]).collect()
        };
        Ok(Prosody { f0: pair(0, F0_UNIT), energy: pair(2, ENERGY_UNIT), phonemes })
    }
}

/// Repeats each phoneme's index for as many steps as it lasts.
fn stretch(log_durations: &[f32], speed: f32) -> candle_core::Result<Vec<u32>> {
    let mut phonemes = Vec::new();
    for (index, log) in (0..).zip(log_durations) {
        let steps = ((log.exp() - 1.0) / speed).round_ties_even();
        if steps.is_nan() || steps > MAX_STEPS / speed {
            bail!("a phoneme of {steps} steps is not speech");
        }
        phonemes.extend(std::iter::repeat_n(index, steps.max(1.0) as usize));
    }
    Ok(phonemes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_to_even_and_last_at_least_one_step() {
        let log = |steps: f32| (steps + 1.0).ln();
        assert_eq!(stretch(&[log(0.0), log(2.0), -3.0], 1.0).unwrap(), [0, 1, 1, 2]);
        assert_eq!(stretch(&[log(5.0)], 2.0).unwrap(), [0, 0], "2.5 rounds to 2");
        assert_eq!(stretch(&[log(3.0)], 0.5).unwrap().len(), 6);
    }

    #[test]
    fn absurd_durations_are_refused() {
        for log in [9.0, f32::INFINITY, f32::NAN] {
            assert!(stretch(&[log], 1.0).is_err(), "{log}");
        }
    }
}
