//! Pitch: for every frame the lags at which the signal repeats itself (YIN's
//! normalised difference), and among those the path through the whole clip
//! that jumps least.

use super::HOP;
use crate::mel::RATE;

/// Shortest period, 500 Hz.
const SHORTEST: usize = RATE as usize / 500;
/// Longest period, 60 Hz.
const LONGEST: usize = RATE as usize / 60;
/// Compared with itself a period later, 30 ms.
const COMPARED: usize = 480;
/// Periods considered in a frame.
const MOST_CANDIDATES: usize = 8;
/// What repeats itself worse than this is no candidate.
const WORST: f32 = 0.7;
/// What it costs a sounding frame to have no pitch: about the difference that
/// is left in a hoarse voice.
const NO_PITCH: f32 = 0.3;
/// What it costs to gain or lose the pitch between two frames.
const TURN: f32 = 0.15;
/// What a jump of an octave costs.
const JUMP: f32 = 1.0;
/// What an octave down costs: twice a period is a period as well.
const DOWN: f32 = 0.03;

/// A period in samples and what it costs; no period stands for no pitch.
#[derive(Clone, Copy)]
struct Candidate {
    period: Option<f32>,
    cost: f32,
}

/// The pitch in Hz of every frame, where it has one. Frames that are no sound
/// have none.
pub(super) fn track(samples: &[f32], sounds: &[bool]) -> Vec<Option<f32>> {
    let mut difference = [0.0; LONGEST + 2];
    let columns: Vec<Vec<Candidate>> = sounds
        .iter()
        .enumerate()
        .map(|(frame, sound)| {
            let mut column = vec![Candidate { period: None, cost: if *sound { NO_PITCH } else { 0.0 } }];
            if *sound {
                normalised_difference(samples, frame, &mut difference);
                column.extend(candidates(&difference));
            }
            column
        })
        .collect();
    cheapest_path(&columns).iter().map(|period| period.map(|period| RATE as f32 / period)).collect()
}

/// 0 at lags after which the signal is the same, about 1 where it is unrelated.
fn normalised_difference(samples: &[f32], frame: usize, difference: &mut [f32]) {
    let mut window = [0.0; COMPARED + LONGEST + 1];
    let first = (frame * HOP + HOP / 2) as i64 - (window.len() / 2) as i64;
    let skipped = usize::try_from(-first).unwrap_or(0).min(window.len());
    let start = usize::try_from(first).unwrap_or(0).min(samples.len());
    for (place, sample) in window[skipped..].iter_mut().zip(&samples[start..]) {
        *place = *sample;
    }
    difference.fill(0.0);
    for (place, sample) in window[..COMPARED].iter().enumerate() {
        for (sum, later) in difference.iter_mut().zip(&window[place..]) {
            let change = sample - later;
            *sum += change * change;
        }
    }
    let mut total = 0.0;
    for (lag, value) in difference.iter_mut().enumerate().skip(1) {
        total += *value;
        *value = if total > 0.0 { *value * lag as f32 / total } else { 1.0 };
    }
}

/// The best minima, each refined to a fraction of a sample.
fn candidates(difference: &[f32]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for lag in SHORTEST..=LONGEST {
        let [before, here, after] = [difference[lag - 1], difference[lag], difference[lag + 1]];
        if here >= WORST || here > before || here >= after {
            continue;
        }
        let bend = before - 2.0 * here + after;
        let offset = if bend > 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        let depth = here - 0.25 * (before - after) * offset;
        let period = lag as f32 + offset;
        let down = DOWN * (period / SHORTEST as f32).log2();
        found.push(Candidate { period: Some(period), cost: depth.max(0.0) + down });
    }
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    found.truncate(MOST_CANDIDATES);
    found
}

/// One candidate of every column, so that all together cost least.
fn cheapest_path(columns: &[Vec<Candidate>]) -> Vec<Option<f32>> {
    let mut costs: Vec<f32> = Vec::new();
    let mut ways: Vec<Vec<usize>> = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        let earlier = number.checked_sub(1).map_or(&[][..], |number| &columns[number]);
        let best = column.iter().map(|candidate| {
            let arrivals = earlier.iter().zip(&costs).map(|(from, cost)| cost + change(*from, *candidate));
            let best = arrivals.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
            let (way, cost) = best.unwrap_or((0, 0.0));
            (way, cost + candidate.cost)
        });
        let (column_ways, column_costs) = best.unzip();
        ways.push(column_ways);
        costs = column_costs;
    }
    let last = costs.iter().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut place = last.map_or(0, |(place, _)| place);
    let mut path = vec![None; columns.len()];
    for number in (0..columns.len()).rev() {
        path[number] = columns[number][place].period;
        place = ways[number][place];
    }
    path
}

fn change(from: Candidate, to: Candidate) -> f32 {
    match (from.period, to.period) {
        (Some(from), Some(to)) => JUMP * (to / from).log2().abs(),
        (None, None) => 0.0,
        _ => TURN,
    }
}
