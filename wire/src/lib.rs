//! The JSON that two parts of ttsfleet exchange, and the error catalogue they
//! all answer from. Types here are converted at the edge and not used inside.

pub mod error;
pub mod gateway;
pub mod headers;
pub mod model;
pub mod pod;
pub mod route;
pub mod speech;
