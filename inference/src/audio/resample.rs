//! Another sample rate, as the samples come: a windowed sinc, with the filter's
//! delay left out at the start and made up for at the end, so that what is sent
//! begins and ends with what was spoken.

use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice, calculate_cutoff,
};

use super::{EncodeError, Encoder};

/// Samples taken at a time; fewer wait for the next piece of audio.
const BLOCK: usize = 256;
/// Length of the filter, in samples of the lower of both rates: at 8 kHz, 8 ms of
/// audio wait, and a telephone's band passes.
const TAPS: usize = 128;
/// Filters between two samples, with a cubic through the nearest four of them:
/// what that misses by is less than a step of 16 bits. Making them is most of what
/// a resampler costs the first audio.
const PHASES: usize = 64;
const WINDOW: WindowFunction = WindowFunction::Blackman2;

/// An encoder of another rate than that of the samples it is given.
pub(super) struct Resampled {
    encoder: Box<dyn Encoder>,
    resampler: Async<f32>,
    own: u32,
    sent: u32,
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Samples of the filter's delay still to be left out.
    delay: usize,
    taken: u64,
    given: u64,
}

impl Resampled {
    pub(super) fn new(own: u32, sent: u32, encoder: Box<dyn Encoder>) -> Result<Self, EncodeError> {
        let ratio = f64::from(sent) / f64::from(own);
        // As many as the crate would make of it.
        let taps = ((TAPS as f64 / ratio.min(1.0)).ceil() as usize).next_multiple_of(8);
        let parameters = SincInterpolationParameters::new(taps, WINDOW)
            .f_cutoff(calculate_cutoff(TAPS, WINDOW))
            .oversampling_factor(PHASES);
        let resampler = Async::new_sinc(ratio, 1.0, &parameters, BLOCK, 1, FixedAsync::Input);
        let resampler = resampler.map_err(failed)?;
        let block = vec![0.0; resampler.output_frames_max()];
        // Half the filter; the first sample that is made is one step into it.
        let delay = (taps as f64 * ratio / 2.0 - 1.0).round() as usize;
        Ok(Self { encoder, resampler, own, sent, pending: Vec::new(), block, delay, taken: 0, given: 0 })
    }

    /// Resamples whole blocks of what is pending.
    fn resample(&mut self) -> Result<Vec<f32>, EncodeError> {
        let mut resampled = Vec::new();
        let mut pending = std::mem::take(&mut self.pending);
        let mut blocks = pending.chunks_exact(BLOCK);
        for block in &mut blocks {
            let room = self.block.len();
            let input = InterleavedSlice::new(block, 1, BLOCK).map_err(failed)?;
            let mut output = InterleavedSlice::new_mut(&mut self.block, 1, room).map_err(failed)?;
            let made = self.resampler.process_into_buffer(&input, &mut output, None);
            let (_, made) = made.map_err(failed)?;
            let skipped = self.delay.min(made);
            self.delay -= skipped;
            resampled.extend_from_slice(&self.block[skipped..made]);
        }
        let whole = pending.len() - blocks.remainder().len();
        pending.drain(..whole);
        self.pending = pending;
        Ok(resampled)
    }

    /// Samples that are to be sent for those taken.
    fn expected(&self) -> u64 {
        (self.taken * u64::from(self.sent)).div_ceil(u64::from(self.own))
    }
}

impl Encoder for Resampled {
    fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.taken += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let resampled = self.resample()?;
        self.given += resampled.len() as u64;
        self.encoder.push(&resampled, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        while self.given < self.expected() {
            // Silence pushes the rest out.
            self.pending.resize(BLOCK, 0.0);
            let mut resampled = self.resample()?;
            resampled.truncate(usize::try_from(self.expected() - self.given).unwrap_or(usize::MAX));
            self.given += resampled.len() as u64;
            self.encoder.push(&resampled, out)?;
        }
        self.encoder.finish(out)
    }
}

fn failed(reason: impl std::fmt::Display) -> EncodeError {
    EncodeError::new("resampling", reason)
}
