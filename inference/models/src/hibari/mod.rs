//! The hibari voice: a small non-autoregressive network on candle.
//!
//! [`text`] turns text into phonemes; [`prosody`] says how long, how high and
//! how loud each is; [`decoder`] predicts spectra; [`synth`] makes them sound;
//! [`stretch`] makes the sound as long as the speed says.

pub mod text;

mod convnext;
mod decoder;
mod encoder;
mod finish;
mod network;
mod ops;
mod pace;
#[cfg(test)]
mod parity;
mod pieces;
mod prosody;
mod pulses;
mod stretch;
mod synth;
mod transformer;
mod trim;
mod voice;
mod weights;

pub(crate) use voice::Hibari;
