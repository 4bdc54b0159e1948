//! The speech server: HTTP on one side, a [`ttsfleet_models::SpeechModel`] on
//! the other, and threads of their own for the synthesis in between.

mod admission;
mod audio;
mod breaker;
pub mod config;
mod http;
mod metrics;
mod outbox;
mod pool;
mod run;
mod server;
pub mod source;
mod state;

pub use audio::Format;
pub use run::{RunError, run};
pub use server::Server;
pub use state::Served;
