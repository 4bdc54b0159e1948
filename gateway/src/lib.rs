//! The front door of a fleet: it knows who asks, holds texts to their limit,
//! finds a pod that answers in time, and passes audio on as it is made.

pub mod attempts;
pub mod breaker;
pub mod budget;
pub mod call;
mod choice;
pub mod client;
pub mod config;
mod cors;
pub mod empty;
pub mod endpoint;
mod events;
pub mod flow;
pub mod front;
pub mod gateway;
pub mod health;
mod latency;
pub mod lexicon;
pub mod limit;
mod lists;
pub mod metrics;
pub mod mirror;
pub mod outcome;
mod paths;
pub mod pool;
pub mod pressure;
pub mod probe;
mod refusals;
mod relay;
pub mod route;
pub mod run;
mod sight;
pub mod tier;
pub mod truncate;
pub mod upstream;
pub mod watch;
