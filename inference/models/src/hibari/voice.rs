use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use rand::{SeedableRng, rngs::SmallRng};

use super::{
    encoder::SYMBOLS,
    network::{Network, SoFar},
    pieces::Lengths,
    synth::SAMPLE_RATE,
    text::{self, Frontend, Reading},
    trim::{self, Trim},
};
use crate::{
    AudioSink, FolderError, Manifest, ModelFolder, Part, Script, SpeechError, SpeechModel, Utterance,
};

/// The symbol before and after a sentence.
const EDGE: u32 = 0;
/// The breath in the voice is noise; the same text gets the same noise.
const NOISE_SEED: u64 = 0x6869_6261_7269;
/// What is heard of a text without words.
const WORDLESS: Duration = Duration::from_millis(300);
/// Longest silence given at once, 1 s: as with sound, nobody is to wait for it.
static SILENCE: [f32; SAMPLE_RATE as usize] = [0.0; SAMPLE_RATE as usize];

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
        let Reading { parts, skipped_chars } = self.frontend.read(utterance.text, utterance.lexicon)?;
        let mut parts: Vec<Part> = parts.into_iter().map(|part| as_asked(part, utterance.speed)).collect();
        if is_too_short(&parts) {
            parts.push(Part::Pause(WORDLESS));
        }
        Ok(Script { parts, voice: utterance.voice.to_owned(), skipped_chars })
    }

    fn say(&self, script: &Script, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        let mut so_far = SoFar { noise: SmallRng::seed_from_u64(NOISE_SEED), lengths: Lengths::new() };
        let mut trim = Trim::new();
        let mut parts = script.parts.iter().peekable();
        // Silence that the voice leaves of its own around a pause is part of it.
        let mut after = Duration::ZERO;
        while let Some(part) = parts.next() {
            let line_next = matches!(parts.peek(), Some(Part::Line { .. }));
            let flow = match part {
                Part::Line { spelling, speed } => {
                    let mut heard = |samples: &[f32]| give(&trim.push(samples, !line_next), sink);
                    let mut flow =
                        self.network.speak(&self.symbols(spelling), *speed, &mut so_far, &mut heard)?;
                    if flow.is_continue() && !line_next {
                        flow = give(&std::mem::replace(&mut trim, Trim::new()).end(), sink);
                    }
                    after = trim::AFTER;
                    flow
                }
                Part::Pause(length) => {
                    let before = if line_next { trim::BEFORE } else { Duration::ZERO };
                    be_silent(length.saturating_sub(before + std::mem::take(&mut after)), sink)
                }
            };
            if flow.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Whether there is less to be heard than of a text without words.
fn is_too_short(parts: &[Part]) -> bool {
    let silence = parts.iter().map(|part| match part {
        Part::Line { .. } => WORDLESS,
        Part::Pause(length) => *length,
    });
    silence.sum::<Duration>() < WORDLESS
}

/// A part of a text at the speed that is asked for.
fn as_asked(part: text::Part, speed: f32) -> Part {
    match part {
        text::Part::Sentence(sentence, rate) => {
            Part::Line { spelling: sentence.phonemes, speed: (speed * rate).clamp(0.25, 4.0) }
        }
        text::Part::Pause(length) => Part::Pause(length),
    }
}

fn be_silent(length: Duration, sink: &mut AudioSink<'_>) -> ControlFlow<()> {
    let mut left = (length.as_secs_f64() * f64::from(SAMPLE_RATE)).round() as usize;
    while left > 0 {
        let piece = left.min(SILENCE.len());
        sink(&SILENCE[..piece])?;
        left -= piece;
    }
    ControlFlow::Continue(())
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
