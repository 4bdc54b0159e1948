//! Whisper, the recogniser that is trained on many languages; here it is asked
//! for English and Chinese.
//!
//! The network is written out on candle instead of taken from
//! `candle-transformers`: that crate brings all its other models along, its
//! Whisper approximates the GELU that the weights were trained with, and it
//! computes all tokens anew for each.

mod config;
mod greedy;
mod network;
mod weights;
mod windows;

use ttsfleet_models::{FolderError, ModelFolder};

use self::{
    config::Config,
    greedy::{Language, Vocabulary},
    network::Network,
    weights::Weights,
};
use crate::{
    Clip, HearError,
    mel::{Mel, RATE},
};

/// The family that a model folder's manifest names.
const FAMILY: &str = "whisper";
/// What the network hears at once, 30 s.
const SAMPLES: usize = 480_000;
const WINDOW: usize = 400;
const HOP: usize = 160;
const FRAMES: usize = SAMPLES / HOP;

/// A loaded Whisper.
pub struct Whisper {
    mel: Mel,
    network: Network,
    vocabulary: Vocabulary,
}

impl Whisper {
    /// Reads a model folder of family `whisper`: `config.json`,
    /// `tokenizer.json` and `model.safetensors` as published for the
    /// transformers library, and `generation_config.json` if it is listed.
    ///
    /// # Errors
    /// [`HearError::Folder`] or [`HearError::Weights`]: another family, a file
    /// that is missing or not what Whisper has.
    pub fn load(folder: &ModelFolder) -> Result<Self, HearError> {
        let family = &folder.manifest().family;
        if family != FAMILY {
            return Err(HearError::Weights(format!("the model is of family {family:?}, not {FAMILY:?}")));
        }
        let config = Config::parse(folder.bytes("config.json")?)?;
        let generation = match folder.bytes("generation_config.json") {
            Err(FolderError::Missing(_)) => None,
            found => Some(found?),
        };
        let vocabulary = Vocabulary::read(folder.bytes("tokenizer.json")?, &config, generation)?;
        let weights = Weights::read(folder.bytes("model.safetensors")?)?;
        Ok(Self {
            mel: Mel::new(WINDOW, HOP, config.num_mel_bins),
            network: Network::load(&weights, &config)?,
            vocabulary,
        })
    }

    /// What is said in a clip, in English or Chinese, whichever it is more
    /// likely to be. A clip of more than 30 s is heard in pieces, cut where it
    /// is quiet.
    ///
    /// # Errors
    /// [`HearError`]: the clip is empty, too long or no audio, or the network
    /// failed.
    pub fn transcribe(&self, clip: &Clip) -> Result<String, HearError> {
        clip.check()?;
        let clip = clip.at(RATE);
        let samples = &clip.samples;
        let mut language = None;
        let mut texts = Vec::new();
        for range in windows::cut(samples, SAMPLES) {
            let piece = &samples[range];
            let heard = self.network.encode(&self.features(piece))?;
            let spoken = match language {
                Some(language) => language,
                None => *language.insert(greedy::language(&self.network, &self.vocabulary, &heard)?),
            };
            let most = greedy::most_tokens(piece.len() as f64 / f64::from(RATE));
            let tokens = greedy::tokens(&self.network, &self.vocabulary, &heard, spoken, most)?;
            texts.push(self.vocabulary.text(&tokens)?);
        }
        let separator = if language == Some(Language::Chinese) { "" } else { " " };
        let texts: Vec<&str> = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
        Ok(texts.join(separator))
    }

    /// Logarithms of the bands' powers, frame by frame, of 30 s: what is
    /// missing is silence.
    fn features(&self, samples: &[f32]) -> Vec<f32> {
        let silence = std::iter::repeat_n(0.0, SAMPLES - samples.len().min(SAMPLES));
        let heard: Vec<f32> = samples.iter().copied().take(SAMPLES).chain(silence).collect();
        let edge = WINDOW / 2;
        let before = heard[1..=edge].iter().rev();
        let after = heard[SAMPLES - 1 - edge..SAMPLES - 1].iter().rev();
        let padded: Vec<f32> = before.chain(&heard).chain(after).copied().collect();
        let mut features = self.mel.powers(&padded);
        features.truncate(FRAMES * self.mel.bands());
        features.iter_mut().for_each(|power| *power = power.max(1e-10).log10());
        let loudest = features.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        features.iter_mut().for_each(|log| *log = (log.max(loudest - 8.0) + 4.0) / 4.0);
        features
    }
}

#[cfg(test)]
mod tests;
