//! The HTTP side: routes, requests, answers.

mod answer;
mod claim;
pub(crate) mod failures;
mod listing;
mod names;
mod order;
mod routes;
mod speech;

pub(crate) use routes::speech_routes;
