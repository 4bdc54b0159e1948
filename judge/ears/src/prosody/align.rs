//! Dynamic time warping: which frame of one clip is said when which of the
//! other is.

use super::Frame;

/// Frames that the alignment may run ahead or behind at most, 2 s.
const MOST_AHEAD: usize = 200;
/// Frames that it may in any case.
const LEAST_AHEAD: usize = 30;
/// Share of the clip that it may otherwise.
const AHEAD: f32 = 0.15;
/// What it costs to let one clip stand while the other goes on: small beside
/// the distance of two sounds, so that equals are laid over each other evenly.
const STAND: f32 = 0.05;
/// How much a difference in loudness of 10 dB weighs beside one of timbre.
const LOUDNESS: f32 = 0.5;

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Both,
    First,
    Second,
}

/// Pairs of frames in their order, from the first of both to the last of both.
/// Empty if one of the clips is.
pub(super) fn align(a: &[Frame], b: &[Frame]) -> Vec<(usize, usize)> {
    let (Some(last_a), Some(last_b)) = (a.len().checked_sub(1), b.len().checked_sub(1)) else {
        return Vec::new();
    };
    let slope = last_b as f32 / last_a.max(1) as f32;
    let longer = a.len().max(b.len()) as f32;
    // One step of a must not leave the band.
    let ahead = ((longer * AHEAD) as usize).clamp(LEAST_AHEAD, MOST_AHEAD) + slope.ceil() as usize;
    let band = |place: usize| {
        let middle = (place as f32 * slope) as usize;
        middle.saturating_sub(ahead)..(middle + ahead + 1).min(b.len())
    };

    let width = 2 * ahead + 1;
    let mut steps = vec![Step::Both; a.len() * width];
    let mut earlier: Vec<f32> = Vec::new();
    let mut earlier_start = 0;
    for (place, frame) in a.iter().enumerate() {
        let here = band(place);
        let mut costs: Vec<f32> = Vec::with_capacity(here.len());
        for (column, other) in here.clone().enumerate() {
            let at = |index: Option<usize>| {
                let index = index.and_then(|index| index.checked_sub(earlier_start));
                index.and_then(|index| earlier.get(index)).copied().unwrap_or(f32::INFINITY)
            };
            let both = if place == 0 && other == 0 { 0.0 } else { at(other.checked_sub(1)) };
            let first = at(Some(other)) + STAND;
            let second = column
                .checked_sub(1)
                .and_then(|column| costs.get(column))
                .map_or(f32::INFINITY, |cost| cost + STAND);
            let (step, cost) = if both <= first && both <= second {
                (Step::Both, both)
            } else if first <= second {
                (Step::First, first)
            } else {
                (Step::Second, second)
            };
            steps[place * width + column] = step;
            costs.push(cost + difference(frame, &b[other]));
        }
        (earlier, earlier_start) = (costs, here.start);
    }
    walk_back(last_a, last_b, |place, other| {
        other.checked_sub(band(place).start).and_then(|column| steps.get(place * width + column)).copied()
    })
}

/// The path that ends at both clips' last frames, from its first pair on.
fn walk_back(
    last_a: usize,
    last_b: usize,
    step: impl Fn(usize, usize) -> Option<Step>,
) -> Vec<(usize, usize)> {
    let (mut place, mut other) = (last_a, last_b);
    let mut path = vec![(place, other)];
    while (place, other) != (0, 0) {
        match step(place, other) {
            Some(Step::First) if place > 0 => place -= 1,
            Some(Step::Second) if other > 0 => other -= 1,
            _ => (place, other) = (place.saturating_sub(1), other.saturating_sub(1)),
        }
        path.push((place, other));
    }
    path.reverse();
    path
}

fn difference(a: &Frame, b: &Frame) -> f32 {
    let timbre: f32 = a.timbre.iter().zip(&b.timbre).map(|(a, b)| (a - b) * (a - b)).sum();
    let level = LOUDNESS * (a.level - b.level) / 10.0;
    (timbre + level * level).sqrt()
}
