//! Compares a new voice with the one before: has both speak the same texts,
//! listens to both, and says how far the second is from the first.
//!
//! It only measures. What is too far is for others to say.

pub mod cer;
pub mod config;
mod connection;
pub mod driver;
pub mod http;
mod inbox;
pub mod judge;
pub mod listen;
mod metrics;
mod mix;
pub mod normalise;
pub mod pair;
mod prompts;
mod queue;
pub mod recogniser;
pub mod run;
mod session;
mod speak;
pub mod stats;
pub mod tally;
mod texts;

pub use prompts::{Prompt, Prompts};
