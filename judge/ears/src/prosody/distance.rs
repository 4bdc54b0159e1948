use super::{Contour, RANGE, align::align, seconds};

/// For each part the difference that counts as 1, the most that a part can be.
const PITCH: f32 = 6.0;
const MELODY: f32 = 6.0;
const VOICING: f32 = 0.5;
const LOUDNESS: f32 = 12.0;
/// A clip half as long again, or two thirds as long.
const PACE: f32 = 1.5;
/// Seconds.
const TRAILING: f32 = 2.0;

/// Frames with a pitch in both clips, 100 ms, without which melodies are not
/// compared.
const FEWEST_VOICED: usize = 10;

/// How far one way of saying is from another. Every part is 0 for equals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// How much higher or lower the voice is on the whole, in semitones.
    pub pitch: f32,
    /// How much the melody differs then, root mean square in semitones.
    pub melody: f32,
    /// Share of time in which only one has a pitch, 0 to 1.
    pub voicing: f32,
    /// How much longer the longer one takes, as a ratio from 1.
    pub pace: f32,
    /// How much the loudness differs, root mean square in decibels.
    pub loudness: f32,
    /// How much more silence follows the second one's last sound, in seconds:
    /// who plays it waits. Less of it harms nobody.
    pub trailing: f32,
    /// All parts together: each as a share of a gross difference, at most 1,
    /// and of these the root of the sum of squares, 0 to 2.45.
    pub total: f32,
}

/// How far the second way of saying a text is from the first.
pub fn distance(a: &Contour, b: &Contour) -> Distance {
    match (a.frames.is_empty(), b.frames.is_empty()) {
        (true, true) => Distance::NONE,
        (false, false) => compare(a, b),
        _ => Distance {
            pitch: PITCH,
            melody: MELODY,
            voicing: 1.0,
            pace: f32::INFINITY,
            loudness: RANGE,
            ..Distance::NONE
        }
        .summed(),
    }
}

fn compare(a: &Contour, b: &Contour) -> Distance {
    let path = align(&a.frames, &b.frames);
    let pairs = || path.iter().map(|(place, other)| (&a.frames[*place], &b.frames[*other]));
    let lengths = (a.frames.len() as f32, b.frames.len() as f32);
    let pace = (lengths.0 / lengths.1).max(lengths.1 / lengths.0);

    let levels: Vec<f32> = pairs().map(|(a, b)| b.level - a.level).collect();
    let (_, loudness) = mean_and_deviation(&levels);
    let steps: Vec<f32> = pairs().filter_map(|(a, b)| Some(b.pitch? - a.pitch?)).collect();
    let lonely = pairs().filter(|(a, b)| a.pitch.is_some() != b.pitch.is_some()).count();
    let voicing = lonely as f32 / path.len() as f32;
    let (pitch, melody) = if steps.len() >= FEWEST_VOICED {
        mean_and_deviation(&steps)
    } else if lonely >= FEWEST_VOICED {
        (PITCH, MELODY)
    } else {
        (0.0, 0.0)
    };
    let trailing = seconds(b.trail.saturating_sub(a.trail));
    Distance { pitch: pitch.abs(), melody, voicing, pace, loudness, trailing, ..Distance::NONE }.summed()
}

impl Distance {
    /// That of equals.
    pub(super) const NONE: Self =
        Self { pitch: 0.0, melody: 0.0, voicing: 0.0, pace: 1.0, loudness: 0.0, trailing: 0.0, total: 0.0 };

    fn summed(self) -> Self {
        let parts = [
            self.pitch / PITCH,
            self.melody / MELODY,
            self.voicing / VOICING,
            self.pace.ln() / PACE.ln(),
            self.loudness / LOUDNESS,
            self.trailing / TRAILING,
        ];
        Self { total: parts.iter().map(|part| part.min(1.0).powi(2)).sum::<f32>().sqrt(), ..self }
    }
}

fn mean_and_deviation(values: &[f32]) -> (f32, f32) {
    let count = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / count;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
    (mean, square.sqrt())
}
