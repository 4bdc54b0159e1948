//! How something is said: melody, rhythm, loudness.
//!
//! Two clips of the same text are laid over each other by what is said
//! ([`align`]), and then compared by how it is said. Words themselves do not
//! count here: another voice saying the same in the same way is near.

mod align;
mod distance;
mod pitch;

use crate::{
    Clip,
    mel::{Mel, RATE},
};

pub use distance::{Distance, distance};

/// From one frame to the next, 10 ms.
const HOP: usize = 160;
/// Heard for one frame's loudness and timbre, 25 ms.
const WINDOW: usize = 400;
const BANDS: usize = 24;
/// Numbers that say which sound it is, however loud.
const TIMBRE: usize = 12;
/// Decibels below the loud parts of a clip from where on it is silence.
const RANGE: f32 = 40.0;
/// Decibels above the quietest parts from where on something is heard besides
/// the noise that is always there, ...
const ABOVE_NOISE: f32 = 6.0;
/// ... but what is so few decibels below the loud parts is heard in any case.
const SURE: f32 = 15.0;
/// A clip whose loud parts are below is silent altogether, in decibels of full
/// scale.
const SILENCE: f32 = -60.0;

/// How a clip is said: what is left of it between the first sound and the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Contour {
    /// Frames of silence before.
    lead: usize,
    frames: Vec<Frame>,
    /// Frames of silence after.
    trail: usize,
}

/// What is heard every 10 ms.
#[derive(Debug, Clone, PartialEq)]
struct Frame {
    /// Pitch in semitones above 1 Hz where there is one.
    pitch: Option<f32>,
    /// Loudness in decibels below the loud parts, from −[`RANGE`].
    level: f32,
    /// Which sound it is.
    timbre: [f32; TIMBRE],
}

impl Contour {
    /// What [`analyse`] says of a clip in which nothing is said.
    fn empty() -> Self {
        Self { lead: 0, frames: Vec::new(), trail: 0 }
    }

    /// Seconds of silence before the first sound; none if there is no sound.
    pub fn lead(&self) -> Option<f32> {
        (!self.frames.is_empty()).then(|| seconds(self.lead))
    }

    /// Seconds from the first sound to the last.
    pub fn seconds(&self) -> f32 {
        seconds(self.frames.len())
    }

    /// Share of this time in which the voice has a pitch, 0 to 1.
    pub fn voiced(&self) -> f32 {
        let voiced = self.frames.iter().filter(|frame| frame.pitch.is_some()).count();
        voiced as f32 / self.frames.len().max(1) as f32
    }

    /// Middle one of all pitches, in Hz; none if nothing has a pitch.
    pub fn pitch(&self) -> Option<f32> {
        let mut pitches: Vec<f32> = self.frames.iter().filter_map(|frame| frame.pitch).collect();
        pitches.sort_by(f32::total_cmp);
        pitches.get(pitches.len() / 2).map(|semitones| (semitones / 12.0).exp2())
    }
}

/// Listens to how a clip is said. Where nothing is said there is nothing to
/// compare: silence has an empty contour, and so has what [`decode`] would have
/// refused.
///
/// [`decode`]: crate::decode
pub fn analyse(clip: &Clip) -> Contour {
    if clip.check().is_err() {
        return Contour::empty();
    }
    let mut samples = clip.at(RATE).into_owned().samples;
    let mean = samples.iter().sum::<f32>() / samples.len().max(1) as f32;
    samples.iter_mut().for_each(|sample| *sample -= mean);

    let count = samples.len() / HOP;
    let levels: Vec<f32> = (0..count).map(|frame| level(around(&samples, frame, WINDOW))).collect();
    let (quiet, loud) = quiet_and_loud(&levels);
    if loud < SILENCE {
        return Contour::empty();
    }
    let threshold = (quiet + ABOVE_NOISE).min(loud - SURE).max(loud - RANGE);
    let sounds: Vec<bool> = levels.iter().map(|level| *level > threshold).collect();
    let pitches = pitch::track(&samples, &sounds);
    let timbres = timbres(&samples, &sounds);
    let frames = (0..count).map(|frame| Frame {
        pitch: pitches[frame].map(|hertz| 12.0 * hertz.log2()),
        level: (levels[frame] - loud).max(-RANGE),
        timbre: timbres[frame],
    });
    let first = sounds.iter().position(|sound| *sound).unwrap_or(0);
    let last = sounds.iter().rposition(|sound| *sound).map_or(0, |last| last + 1);
    Contour { lead: first, frames: frames.skip(first).take(last - first).collect(), trail: count - last }
}

fn seconds(frames: usize) -> f32 {
    (frames * HOP) as f32 / RATE as f32
}

/// The samples around the middle of a frame, fewer at both ends of the clip.
fn around(samples: &[f32], frame: usize, length: usize) -> &[f32] {
    let middle = frame * HOP + HOP / 2;
    &samples[middle.saturating_sub(length / 2)..(middle + length / 2).min(samples.len())]
}

/// Decibels of full scale.
fn level(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * (power + 1e-10).log10()
}

/// The levels that one of twenty frames is below, and one of twenty above.
fn quiet_and_loud(levels: &[f32]) -> (f32, f32) {
    let mut sorted = levels.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f32::NEG_INFINITY);
    (at(sorted.len() / 20), at(sorted.len() * 19 / 20))
}

/// The cepstrum of every frame without its mean over all sounds, which is more
/// the voice's and the recording's than the sound's.
fn timbres(samples: &[f32], sounds: &[bool]) -> Vec<[f32; TIMBRE]> {
    let mel = Mel::new(WINDOW, HOP, BANDS);
    let edge = (WINDOW - HOP) / 2;
    let padding = std::iter::repeat_n(0.0, edge);
    let padded: Vec<f32> = padding.clone().chain(samples.iter().copied()).chain(padding).collect();
    let powers = mel.powers(&padded);
    let loudest = powers.iter().copied().fold(1e-10, f32::max);
    let cosines: Vec<[f32; BANDS]> = (1..=TIMBRE)
        .map(|order| {
            std::array::from_fn(|band| {
                (std::f32::consts::PI * order as f32 * (band as f32 + 0.5) / BANDS as f32).cos()
            })
        })
        .collect();
    let cepstrum = |powers: &[f32]| -> [f32; TIMBRE] {
        let logs: Vec<f32> = powers.iter().map(|power| (power / loudest).max(1e-6).log10()).collect();
        std::array::from_fn(|order| cosines[order].iter().zip(&logs).map(|(cosine, log)| cosine * log).sum())
    };
    let mut timbres: Vec<_> = powers.chunks(BANDS).map(cepstrum).collect();
    timbres.resize(sounds.len(), [0.0; TIMBRE]);
    let sounding = sounds.iter().filter(|sound| **sound).count().max(1) as f32;
    let means: [f32; TIMBRE] = std::array::from_fn(|order| {
        let values = timbres.iter().zip(sounds).filter(|(_, sound)| **sound).map(|(timbre, _)| timbre[order]);
        values.sum::<f32>() / sounding
    });
    for timbre in &mut timbres {
        timbre.iter_mut().zip(means).for_each(|(value, mean)| *value -= mean);
    }
    timbres
}

#[cfg(test)]
mod tests;
