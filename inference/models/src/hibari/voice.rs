use std::{collections::BTreeMap, ops::ControlFlow};

use rand::{SeedableRng, rngs::SmallRng};

use super::{
    encoder::SYMBOLS,
    network::{Network, SoFar},
    pieces::Lengths,
    synth::SAMPLE_RATE,
    text::Frontend,
    trim::Trim,
};
use crate::{AudioSink, FolderError, Manifest, ModelFolder, Script, SpeechError, SpeechModel, Utterance};

/// The symbol before and after a sentence.
const EDGE: u32 = 0;
/// The breath in the voice is noise; the same text gets the same noise.
const NOISE_SEED: u64 = 0x6869_6261_7269;

/// The hibari voice, ready to speak.
pub(crate) struct Hibari {
    manifest: Manifest,
    frontend: Frontend,
    alphabet: BTreeMap<char, u32>,
    network: Network,
}

impl Hibari {
    pub(crate) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let manifest = folder.manifest().clone();
        if manifest.sample_rate != SAMPLE_RATE {
            return Err(FolderError::Weights(format!(
                "hibari speaks at {SAMPLE_RATE} Hz, not {}",
                manifest.sample_rate
            )));
        }
        let alphabet = alphabet(folder.bytes("vocab.json")?)?;
        Ok(Self { manifest, frontend: Frontend::load(folder)?, alphabet, network: Network::load(folder)? })
    }

    fn symbols(&self, phonemes: &str) -> Vec<u32> {
        let inner = phonemes.chars().filter_map(|phoneme| self.alphabet.get(&phoneme).copied());
        std::iter::once(EDGE).chain(inner).chain([EDGE]).collect()
    }
}

/// Reads the phonemes' numbers and refuses those beyond the embedding.
fn alphabet(vocabulary: &[u8]) -> Result<BTreeMap<char, u32>, FolderError> {
    let alphabet: BTreeMap<char, u32> = serde_json::from_slice(vocabulary)
        .map_err(|error| FolderError::Weights(format!("vocab.json: {error}")))?;
    match alphabet.iter().find(|(_, symbol)| **symbol >= SYMBOLS as u32) {
        Some((phoneme, symbol)) => Err(FolderError::Weights(format!(
            "vocab.json gives {phoneme:?} the number {symbol}, of {SYMBOLS}"
        ))),
        None => Ok(alphabet),
    }
}

impl SpeechModel for Hibari {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&self, utterance: &Utterance<'_>) -> Result<Script, SpeechError> {
        let known = &self.manifest.voices;
        if !known.iter().any(|voice| voice == utterance.voice) {
            return Err(SpeechError::UnknownVoice {
                voice: utterance.voice.to_owned(),
                known: known.clone(),
            });
        }
        let sentences = self.frontend.sentences(utterance.text)?;
        let lines = sentences.into_iter().map(|sentence| sentence.phonemes).collect();
        Ok(Script { lines, voice: utterance.voice.to_owned(), speed: utterance.speed.clamp(0.25, 4.0) })
    }

    fn say(&self, script: &Script, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        let mut so_far = SoFar { noise: SmallRng::seed_from_u64(NOISE_SEED), lengths: Lengths::new() };
        let mut trim = Trim::new();
        for (index, phonemes) in script.lines.iter().enumerate() {
            let last = index + 1 == script.lines.len();
            let mut heard = |samples: &[f32]| give(&trim.push(samples, last), sink);
            let symbols = self.symbols(phonemes);
            if self.network.speak(&symbols, script.speed, &mut so_far, &mut heard)?.is_break() {
                return Ok(());
            }
        }
        // Nothing follows that could be broken off.
        let _ = give(&trim.end(), sink);
        Ok(())
    }
}

fn give(samples: &[f32], sink: &mut AudioSink<'_>) -> ControlFlow<()> {
    if samples.is_empty() { ControlFlow::Continue(()) } else { sink(samples) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_beyond_the_embedding_is_refused() {
        assert!(alphabet(br#"{"a": 177}"#).is_ok());
        let error = alphabet(br#"{"a": 178}"#).unwrap_err();
        assert_eq!(error.to_string(), "unusable weights: vocab.json gives 'a' the number 178, of 178");
        assert!(alphabet(b"{").is_err());
    }
}
