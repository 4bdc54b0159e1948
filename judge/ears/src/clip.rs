/// Mono audio, samples in −1..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Clip {
    /// The samples.
    pub samples: Vec<f32>,
    /// How many there are to a second.
    pub rate: u32,
}

impl Clip {
    /// The same sound at another rate.
    pub fn at(&self, rate: u32) -> Self {
        Self { samples: self.samples.clone(), rate }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}
