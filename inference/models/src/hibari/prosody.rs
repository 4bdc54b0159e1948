use candle_core::{Device, Tensor, bail};
use serde::Deserialize;

use super::{
    convnext::{ConvNext, Shape},
    encoder::Encoder,
    ops::{Activation, Linear, Unfold},
    weights::Weights,
};
use crate::{FolderError, ModelFolder};

const CHANNELS: usize = 192;
/// How far apart the steps are that each block looks at, unless [`OPTIONS`]
/// says otherwise.
const DILATIONS: [usize; 6] = [1, 2, 4, 8, 1, 2];
const MAX_DILATION: usize = 16;
/// The file of a model folder that may hold other numbers than the voice's own.
const OPTIONS: &str = "hibari.json";
const F0_UNIT: f32 = 100.0;
const ENERGY_UNIT: f32 = 5.0;
/// No phoneme lasts longer, in steps of 25 ms at normal speed: a guard against
/// weights that ask for hours.
const MAX_STEPS: f32 = 80.0;

/// What weights do not say of themselves.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Options {
    prosody_dilations: Option<[usize; 6]>,
}

impl Options {
    /// Reads the folder's options, if it has any.
    pub(super) fn read(folder: &ModelFolder) -> Result<Self, FolderError> {
        folder.bytes(OPTIONS).map_or_else(|_| Ok(Self::default()), Self::parse)
    }

    fn parse(bytes: &[u8]) -> Result<Self, FolderError> {
        let unusable = |what| FolderError::Weights(format!("{OPTIONS}: {what}"));
        let options: Self = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        match options.dilations().iter().find(|dilation| !(1..=MAX_DILATION).contains(*dilation)) {
            Some(dilation) => Err(unusable(format!("a dilation of {dilation}, not 1 to {MAX_DILATION}"))),
            None => Ok(options),
        }
    }

    fn dilations(&self) -> [usize; 6] {
        self.prosody_dilations.unwrap_or(DILATIONS)
    }
}

/// How a sentence is to be said.
pub(super) struct Prosody {
    /// For every step of 25 ms, which phoneme is said.
    pub(super) phonemes: Vec<u32>,
    /// Pitch in Hz, two values a step.
    pub(super) f0: Vec<f32>,
    /// Loudness, two values a step.
    pub(super) energy: Vec<f32>,
    /// Steps that it would take at the voice's own pace.
    pub(super) unhurried: usize,
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
    pub(super) fn load(weights: &Weights<'_>, options: &Options) -> Result<Self, FolderError> {
        let shape = Shape { channels: CHANNELS, hidden: 2 * CHANNELS, kernel: 7 };
        let dilations = options.dilations();
        let blocks = dilations.iter().enumerate();
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
        let unhurried = stretch(&logs, 1.0)?.len();

        let steps = Tensor::new(&phonemes[..], &Device::Cpu)?;
        let mut x = text.index_select(&steps, 0)?.apply_op1_no_bwd(&self.contour_in)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let contours = x.apply_op1_no_bwd(&self.contour_out)?.to_vec2::<f32>()?;
        let pair = |channel: usize, unit: f32| {
            contours.iter().flat_map(|step| [step[channel] * unit, step[channel + 1] * unit]).collect()
        };
        Ok(Prosody { f0: pair(0, F0_UNIT), energy: pair(2, ENERGY_UNIT), phonemes, unhurried })
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

    #[test]
    fn dilations_are_the_voices_own_unless_the_folder_has_others() {
        assert_eq!(Options::default().dilations(), [1, 2, 4, 8, 1, 2]);
        assert_eq!(Options::parse(b"{}").unwrap().dilations(), DILATIONS);
        let options = Options::parse(br#"{"prosodyDilations": [1, 1, 16, 1, 1, 1]}"#).unwrap();
        assert_eq!(options.dilations(), [1, 1, 16, 1, 1, 1]);
    }

    #[test]
    fn unusable_options_are_refused_by_name() {
        for (options, complaint) in [
            (r#"{"prosodyDilations": [1, 2, 17, 1, 1, 1]}"#, "a dilation of 17, not 1 to 16"),
            (r#"{"prosodyDilations": [0, 2, 4, 8, 1, 2]}"#, "a dilation of 0, not 1 to 16"),
            (r#"{"prosodyDilations": [1]}"#, "invalid length 1"),
            (r#"{"prosodyDilation": []}"#, "unknown field"),
            ("[", "EOF"),
        ] {
            let error = Options::parse(options.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("unusable weights: hibari.json: {complaint}")), "{error}");
        }
    }
}
