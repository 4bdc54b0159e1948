//! How fast the voice speaks, beside onnxruntime on the same weights, texts and
//! thread count: `cargo bench -p ttsfleet-models --bench voice -- --json FILE`.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod rival;

use std::{ops::ControlFlow, time::Instant};

use anyhow::{Context, bail};
use rival::{Rival, Timing};
use serde_json::{Value, json};
use ttsfleet_models::{ModelFolder, SpeechModel, Utterance};

const TEXTS: [&str; 5] = [
    "Your train leaves in ten minutes.",
    "The quick brown fox jumps over the lazy dog, and nobody in the village seems to mind.",
    "On the third of March the harbour froze, the ferries stopped, and people walked across the ice to buy bread.",
    "Please hold the line. One of our agents will be with you shortly. Your call may be recorded.",
    "When the lights went out, the pianist kept playing; the audience, who could no longer see him, \
     listened more closely than before, and it was some time before anyone thought of looking for a candle.",
];
const ENGINES: [&str; 3] = ["candle", "onnxruntime f32", "onnxruntime int8"];
const ROUNDS: usize = 12;

fn main() -> anyhow::Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let start = Instant::now();
    let model = ttsfleet_models::load(&ModelFolder::embedded(ttsfleet_voice::FILES)?)?;
    let load = start.elapsed().as_secs_f64();
    let mut rival = Rival::start()?;
    speak(&*model, TEXTS[0])?;

    let mut timings = [(); ENGINES.len()].map(|()| Vec::new());
    for round in 0..options.rounds {
        for text in TEXTS {
            // Another engine goes first each round: none has the warm cache.
            for turn in 0..ENGINES.len() {
                let engine = (round + turn) % ENGINES.len();
                timings[engine].push(match engine {
                    0 => speak(&*model, text)?,
                    1 => rival.speak("f32", text)?,
                    _ => rival.speak("int8", text)?,
                });
            }
        }
    }
    let report = report(&timings, load, options.rounds);
    print_table(&report);
    if let Some(path) = options.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

struct Options {
    json: Option<String>,
    rounds: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self { json: None, rounds: ROUNDS };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--json" => options.json = Some(arguments.next().context("--json needs a file")?),
                "--rounds" => {
                    options.rounds = arguments.next().context("--rounds needs a number")?.parse()?
                }
                other => bail!("unknown argument {other}; known: --json FILE, --rounds N"),
            }
        }
        Ok(options)
    }
}

/// Speaks with our own voice. What the check takes is the share of the text.
fn speak(model: &dyn SpeechModel, text: &str) -> anyhow::Result<Timing> {
    let utterance = Utterance { text, voice: "heart", speed: 1.0, lexicon: &[] };
    let start = Instant::now();
    model.read(&utterance)?;
    let spelled = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let (mut first, mut samples) = (None, 0);
    model.speak(&utterance, &mut |piece| {
        first.get_or_insert_with(|| start.elapsed().as_secs_f64());
        samples += piece.len();
        ControlFlow::Continue(())
    })?;
    Ok(Timing {
        text: spelled,
        first: first.context("no audio")?,
        total: start.elapsed().as_secs_f64(),
        audio: samples as f64 / f64::from(model.manifest().sample_rate),
    })
}

fn report(timings: &[Vec<Timing>], load: f64, rounds: usize) -> Value {
    let median_of = |engine: usize, value: fn(&Timing) -> f64| median(timings[engine].iter().map(value));
    let engines = ENGINES.iter().enumerate().map(|(engine, name)| {
        json!({
            "engine": name,
            "rtf": median_of(engine, |t| t.total / t.audio),
            "rtfWithoutText": median_of(engine, |t| (t.total - t.text) / t.audio),
            "firstAudioMs": median_of(engine, |t| t.first * 1e3),
            "textMs": median_of(engine, |t| t.text * 1e3),
            "audioSeconds": timings[engine].iter().map(|t| t.audio).sum::<f64>() / rounds as f64,
        })
    });
    // Pairs of the same round and text, so that a slow moment hits both.
    let speed_beside = |rival: usize, time: fn(&Timing) -> f64| {
        median(
            timings[0]
                .iter()
                .zip(&timings[rival])
                .map(|(ours, theirs)| (time(theirs) / theirs.audio) / (time(ours) / ours.audio)),
        )
    };
    json!({
        "bench": "voice",
        "threads": 1,
        "rounds": rounds,
        "texts": TEXTS.len(),
        "loadMs": load * 1e3,
        "engines": engines.collect::<Vec<_>>(),
        "speedBesideF32": speed_beside(1, |t| t.total),
        "speedBesideInt8": speed_beside(2, |t| t.total),
        "speedBesideF32WithoutText": speed_beside(1, |t| t.total - t.text),
        "speedBesideInt8WithoutText": speed_beside(2, |t| t.total - t.text),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print_table(report: &Value) {
    println!(
        "{:<18} {:>8} {:>14} {:>15} {:>9}",
        "engine", "RTF", "RTF, no text", "first audio ms", "text ms"
    );
    for engine in report["engines"].as_array().into_iter().flatten() {
        let number = |name: &str| engine[name].as_f64().unwrap_or(f64::NAN);
        println!(
            "{:<18} {:>8.4} {:>14.4} {:>15.1} {:>9.2}",
            engine["engine"].as_str().unwrap_or_default(),
            number("rtf"),
            number("rtfWithoutText"),
            number("firstAudioMs"),
            number("textMs"),
        );
    }
    let ratio = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    println!("candle loads in {:.0} ms", ratio("loadMs"));
    println!(
        "speed of candle: {:.2} x onnxruntime f32, {:.2} x int8 (without text {:.2} and {:.2})",
        ratio("speedBesideF32"),
        ratio("speedBesideInt8"),
        ratio("speedBesideF32WithoutText"),
        ratio("speedBesideInt8WithoutText"),
    );
}
