//! How something is said: melody, rhythm, loudness.

use crate::Clip;

/// How a clip is said.
#[derive(Debug, Clone)]
pub struct Contour {}

/// How far one way of saying is from another; every part is 0 for equals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// All parts together.
    pub total: f32,
}

/// Listens to how a clip is said.
pub fn analyse(_clip: &Clip) -> Contour {
    Contour {}
}

/// Compares two ways of saying the same text.
pub fn distance(_a: &Contour, _b: &Contour) -> Distance {
    Distance { total: 0.0 }
}
