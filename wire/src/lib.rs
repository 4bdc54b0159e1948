//! The JSON that two parts of ttsfleet exchange, and the error catalogue they
//! all answer from. Types here are converted at the edge and not used inside.

pub mod admin;
pub mod audio;
pub mod error;
pub mod gateway;
pub mod headers;
pub mod judge;
pub mod lexicon;
pub mod model;
pub mod names;
pub mod observability;
pub mod openapi;
pub mod pod;
pub mod route;
pub mod speech;
