//! The hibari voice: a small non-autoregressive network on candle.

pub mod text;
