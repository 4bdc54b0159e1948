use std::ops::{ControlFlow, Range};

use candle_core::{Device, Tensor};
use rand::rngs::SmallRng;

use super::{
    decoder::{CONTEXT, Decoder, OUTPUTS},
    finish::finish,
    prosody::{Options, Prosody, ProsodyNet},
    synth::{HOP, Synth, Transforms},
    weights::Weights,
};
use crate::{AudioSink, FolderError, ModelFolder, SpeechError};

/// Frames decoded at once, 5 s of sound: a longer sentence sounds while the
/// rest is still being made, and can be broken off in between.
const PIECE: usize = 400;
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
        rng: &mut SmallRng,
        sink: &mut AudioSink<'_>,
    ) -> Result<ControlFlow<()>, SpeechError> {
        if symbols.len() > MAX_SYMBOLS {
            return Err(SpeechError::Inference(format!(
                "a sentence of {} phonemes is too long",
                symbols.len()
            )));
        }
        let (prosody, frames) = self.plan(symbols, speed).map_err(failed)?;
        let total = prosody.f0.len();
        let mut synth = Synth::new(&self.transforms, &prosody.f0, rng);
        let mut sent = 0;
        for start in (0..total).step_by(PIECE) {
            let spectra = self.spectra(&frames, start..total.min(start + PIECE)).map_err(failed)?;
            let mut samples = synth.push(&spectra).map_err(failed)?;
            if !finish(&mut samples, sent, total * HOP) {
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

    /// The decoder's rows for some of the frames, the same as if all had been
    /// decoded at once.
    pub(super) fn spectra(&self, frames: &Tensor, wanted: Range<usize>) -> candle_core::Result<Vec<f32>> {
        let first = wanted.start.saturating_sub(CONTEXT);
        let last = frames.dim(0)?.min(wanted.end + CONTEXT);
        let rows = self.decoder.forward(&frames.narrow(0, first, last - first)?)?;
        let mut rows = rows.flatten_all()?.to_vec1::<f32>()?;
        rows.truncate((wanted.end - first) * OUTPUTS);
        Ok(rows.split_off((wanted.start - first) * OUTPUTS))
    }
}

fn failed(error: impl std::fmt::Display) -> SpeechError {
    SpeechError::Inference(error.to_string())
}
