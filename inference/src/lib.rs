//! The speech server: HTTP on one side, a [`ttsfleet_models::SpeechModel`] on
//! the other, and threads of their own for the synthesis in between.

pub mod admin;
mod admission;
mod audio;
mod average;
mod breaker;
mod callers;
pub mod config;
mod cores;
mod http;
mod keeper;
mod line;
mod loading;
mod memory;
mod metrics;
mod outbox;
mod pool;
mod run;
mod scheduler;
mod server;
mod slot;
pub mod source;
mod state;
mod synthesis;
mod warm_up;

pub use keeper::Models;
pub use loading::{MakeModel, ModelFailure};
pub use run::{RunError, run};
pub use server::{Ports, Server};
