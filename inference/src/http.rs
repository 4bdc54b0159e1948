//! The HTTP side: routes, requests, answers.

mod answer;
mod failure;
mod health;
mod listen;
mod listing;
mod order;
mod record;
mod routes;
mod speech;

pub(crate) use failure::Failure;
pub(crate) use health::health_routes;
pub(crate) use listen::{Listener, serve};
pub(crate) use routes::speech_routes;
