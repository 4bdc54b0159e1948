//! The storm as a picture: what became of the requests of each second, one
//! panel a side.

use std::fmt::Write;

use crate::load::{Outcome, Sample};
use crate::{BURST, CALM, END, HANG, KILL};

const WIDTH: f64 = 860.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 46.0;
const GAP: f64 = 44.0;
/// What is drawn, from the bottom up, with its colour.
const KINDS: [(&str, &str); 4] =
    [("spoken", "#2f8f5b"), ("cut", "#8fc9a6"), ("refused", "#c8c8c8"), ("failed", "#c0392b")];

/// Requests of one second, by kind.
type Second = [usize; KINDS.len()];

/// Draws the sides, each a name and its samples.
pub(crate) fn svg(sides: &[(String, Vec<Sample>)]) -> String {
    let panels: Vec<(&str, Vec<Second>)> =
        sides.iter().map(|(name, samples)| (name.as_str(), seconds(samples))).collect();
    let most = panels.iter().flat_map(|(_, seconds)| seconds).map(|second| second.iter().sum::<usize>());
    let most = most.max().unwrap_or_default().max(1) as f64;
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    legend(&mut picture);
    for (place, (name, seconds)) in panels.iter().enumerate() {
        panel(&mut picture, TOP + place as f64 * (PANEL + GAP), name, seconds, most);
    }
    picture + "</svg>\n"
}

/// When an answer began is when its caller had it.
fn seconds(samples: &[Sample]) -> Vec<Second> {
    let mut seconds = vec![Second::default(); END.ceil() as usize + 15];
    for sample in samples {
        let kind = match &sample.outcome {
            Outcome::Spoken { truncated: true, .. } => 1,
            Outcome::Spoken { degraded, .. } if degraded.as_deref() != Some("empty-audio") => 0,
            Outcome::Refused { .. } => 2,
            Outcome::Spoken { .. } | Outcome::Failed { .. } | Outcome::Broken(_) => 3,
        };
        let second = (sample.at + sample.first).as_secs() as usize;
        if let Some(second) = seconds.get_mut(second) {
            second[kind] += 1;
        }
    }
    seconds
}

fn legend(picture: &mut String) {
    for (place, (name, colour)) in KINDS.iter().enumerate() {
        let x = LEFT + place as f64 * 110.0;
        let _ = writeln!(
            picture,
            "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"20\">{name}</text>",
            x + 18.0
        );
    }
}

fn panel(picture: &mut String, top: f64, name: &str, seconds: &[Second], most: f64) {
    let (bottom, step) = (top + PANEL, (WIDTH - LEFT - 20.0) / seconds.len() as f64);
    let x = |second: f64| LEFT + second * step;
    let _ = writeln!(
        picture,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{name}, requests a second</text>",
        top - 8.0
    );
    let _ = writeln!(
        picture,
        "<rect x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{PANEL}\" fill=\"#f4efe2\"/>",
        x(CALM),
        x(BURST) - x(CALM)
    );
    for (number, second) in seconds.iter().enumerate() {
        let mut base = bottom;
        for (count, (_, colour)) in second.iter().zip(KINDS) {
            let tall = *count as f64 / most * PANEL;
            base -= tall;
            if *count > 0 {
                let _ = writeln!(
                    picture,
                    "<rect x=\"{:.1}\" y=\"{base:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
                    x(number as f64) + 0.5,
                    step - 1.0
                );
            }
        }
    }
    let _ = writeln!(
        picture,
        "<line x1=\"{LEFT}\" y1=\"{bottom}\" x2=\"{}\" y2=\"{bottom}\" stroke=\"#444\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.0}</text>",
        WIDTH - 20.0,
        LEFT - 6.0,
        top + 12.0
    );
    for (second, what) in
        [(0.0, "0 s"), (CALM, "three times the load"), (HANG, "a pod hangs"), (KILL, "one is killed")]
    {
        let _ = writeln!(
            picture,
            "<line x1=\"{0:.1}\" y1=\"{top}\" x2=\"{0:.1}\" y2=\"{1}\" stroke=\"#999\" stroke-dasharray=\"3 3\"/>\
             <text x=\"{0:.1}\" y=\"{2}\">{what}</text>",
            x(second),
            bottom + 4.0,
            bottom + 18.0
        );
    }
}
