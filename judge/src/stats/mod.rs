//! From pairs to means with intervals that hold at every look.
//!
//! Whoever reads the report looks after every pair and stops when an interval
//! pleases. Ordinary intervals are wrong under that; those here are not.

mod latency;
mod mean;

pub use latency::Latency;
pub use mean::Mean;

/// What intervals are made for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Share of comparisons in which an interval may ever miss the truth.
    pub alpha: f64,
    /// Pairs aimed at: looks at times are planned around them.
    pub aimed_at: u64,
}

impl Design {
    /// For a confidence in percent, and the pairs aimed at.
    pub fn new(confidence_percent: u32, aimed_at: u32) -> Self {
        let alpha = 1.0 - f64::from(confidence_percent.clamp(50, 99)) / 100.0;
        Self { alpha, aimed_at: u64::from(aimed_at.max(1)) }
    }
}

/// A value and an interval around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
