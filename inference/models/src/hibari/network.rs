use std::ops::ControlFlow;

use candle_core::{Device, Tensor};
use rand::rngs::SmallRng;

use super::{
    decoder::{Decoder, Decoding},
    finish::finish,
    pace,
    pieces::Lengths,
    prosody::{Options, Prosody, ProsodyNet},
    stretch::Stretch,
    synth::{HOP, Synth, Transforms},
    weights::Weights,
};
use crate::{AudioSink, FolderError, ModelFolder, SpeechError};

/// Phonemes the network takes at once, the two at the ends included.
const MAX_SYMBOLS: usize = 512;

/// The whole network, from phonemes to samples.
pub(super) struct Network {
    prosody: ProsodyNet,
    decoder: Decoder,
    transforms: Transforms,
}

impl Network {
    pub(super) fn load(folder: &ModelFolder) -> Result<Self, FolderError> {
        let weights = Weights::read(folder.bytes("hibari.safetensors")?)?;
        Ok(Self {
            prosody: ProsodyNet::load(&weights, &Options::read(folder)?)?,
            decoder: Decoder::load(&weights)?,
            transforms: Transforms::new(),
        })
    }

    /// Speaks one sentence into the sink, piece by piece.
    pub(super) fn speak(
        &self,
        symbols: &[u32],
        speed: f32,
        so_far: &mut SoFar,
        sink: &mut AudioSink<'_>,
    ) -> Result<ControlFlow<()>, SpeechError> {
        if symbols.len() > MAX_SYMBOLS {
            return Err(SpeechError::Inference(format!(
                "a sentence of {} phonemes is too long",
                symbols.len()
            )));
        }
        let (prosody, frames) = self.plan(symbols, pace::planned(speed)).map_err(failed)?;
        let planned = prosody.f0.len() * HOP;
        let total = pace::samples(prosody.unhurried, speed);
        let mut decoding = self.decode(frames);
        let mut synth = Synth::new(&self.transforms, &prosody.f0, &mut so_far.noise);
        let mut stretch = Stretch::new(planned, total);
        let mut sent = 0;
        while sent < total {
            // No piece takes longer to make, or longer to hear.
            let frames = so_far.lengths.next() * planned.min(total) / total.max(1);
            let spectra = decoding.next(frames.max(1)).map_err(failed)?;
            let mut samples = stretch.push(&synth.push(&spectra).map_err(failed)?);
            if !finish(&mut samples, sent, total) {
                return Err(SpeechError::Inference("the samples are not numbers".to_owned()));
            }
            sent += samples.len();
            if sink(&samples).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How the sentence is to be said, and the decoder's view of it.
    pub(super) fn plan(&self, symbols: &[u32], speed: f32) -> candle_core::Result<(Prosody, Tensor)> {
        let symbols = Tensor::new(symbols, &Device::Cpu)?;
        let prosody = self.prosody.forward(&symbols, speed)?;
        let frames = self.decoder.prepare(&symbols, &prosody)?;
        Ok((prosody, frames))
    }

    /// The spectra of a planned sentence.
    pub(super) fn decode(&self, frames: Tensor) -> Decoding<'_> {
        self.decoder.begin(frames)
    }
}

/// What goes on from one sentence of a text to the next.
pub(super) struct SoFar {
    pub(super) noise: SmallRng,
    pub(super) lengths: Lengths,
}

fn failed(error: impl std::fmt::Display) -> SpeechError {
    SpeechError::Inference(error.to_string())
}
