//! The front door of a fleet: it knows who asks, holds texts to their limit,
//! finds a pod that answers in time, and passes audio on as it is made.

pub mod attempts;
pub mod breaker;
pub mod budget;
pub mod config;
pub mod empty;
pub mod endpoint;
mod events;
pub mod front;
pub mod gateway;
pub mod limit;
pub mod metrics;
pub mod mirror;
pub mod pool;
pub mod probe;
mod recent;
mod relay;
mod room;
pub mod route;
pub mod run;
pub mod tier;
pub mod truncate;
pub mod upstream;
pub mod watch;
