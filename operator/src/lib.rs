//! The ttsfleet operator: keeps the objects of every `TtsDeployment` true.

pub mod admin;
pub mod args;
mod backoff;
mod cache;
mod client;
mod controller;
pub mod fleet;
pub mod gateway_api;
mod http;
pub mod key;
pub mod kinds;
pub mod leader;
pub mod metrics;
pub mod platform;
#[cfg(test)]
mod rights;
pub mod rollout;
pub mod run;

use std::sync::Arc;

pub use controller::{Operator, Scope};

/// Tells the time. Handed in, so that tests need not wait.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// The name under which the operator applies objects.
pub const FIELD_MANAGER: &str = "ttsfleet-operator";
