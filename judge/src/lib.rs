//! Compares a new voice with the one before: takes pairs of audio of the same
//! text, listens to both, and says how far the second is from the first.
//!
//! It only measures. What is too far is for others to say.

pub mod cer;
pub mod config;
pub mod driver;
pub mod http;
pub mod judge;
pub mod listen;
mod metrics;
pub mod normalise;
mod numbers;
pub mod pair;
mod prompts;
mod queue;
pub mod recogniser;
pub mod run;
mod session;
mod speak;
pub mod stats;
pub mod tally;

pub use prompts::{Prompt, Prompts};
