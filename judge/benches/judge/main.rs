//! How well the judge tells voices apart: `cargo xtask bench judge`.
//!
//! The built-in voice speaks the built-in prompts, once as it is, once a
//! little faster, once a little slower; these are compared with one another as
//! if they were two models (A/A). Then one side is made worse step by step.
//! What is measured in each pair is kept on disk; comparisons of a hundred
//! pairs and more are drawn from it.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod hearing;
mod speech;
mod trial;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use hearing::Hearing;
use serde_json::{Value, json};
use speech::{FAULTS, Fault, Speech};
use trial::{Gates, Outcome, Rounds};
use ttsfleet_judge::{normalise::Script, tally::Sample};

/// Prompts that each fault is put to; A/A takes all.
const PROMPTS_PER_FAULT: usize = 40;
/// The speeds that one voice counts as itself at.
const SPEEDS: [f32; 3] = [1.0, 1.02, 0.98];

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let speech = Speech::load()?;
    let mut hearing = Hearing::load()?;
    let prompts = prompts();
    let equal = same_voice(&speech, &mut hearing, &prompts)?;
    let gates = Gates::DEFAULT;
    let mut report = json!({
        "prompts": prompts.len(),
        "bounds": gates.to_json(),
        "equal": trial::spread(&equal).to_json(),
    });
    println!("{}", trial::spread(&equal));
    let runs = trial::runs(&equal, Rounds { runs: 20, pairs: 300 }, &gates);
    println!("A/A, 20 runs of 300 pairs, looked at after each: {runs}");
    report["aa20"] = runs.to_json();
    let many = trial::runs(&equal, Rounds { runs: options.runs, pairs: 100 }, &gates);
    println!("A/A, {} runs of 100 pairs: {many}", options.runs);
    report["aa"] = many.to_json();
    let mut faults = Vec::new();
    for fault in FAULTS {
        let samples = faulty(&speech, &mut hearing, &prompts[..PROMPTS_PER_FAULT], fault)?;
        let outcome = trial::runs(&samples, Rounds { runs: options.runs, pairs: 100 }, &gates);
        println!("{:<32} {} {outcome}", fault.to_string(), trial::means(&samples));
        faults.push(row(fault, &samples, &outcome));
    }
    report["faults"] = Value::Array(faults);
    if let Some(path) = options.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn row(fault: Fault, samples: &[Sample], outcome: &Outcome) -> Value {
    let [cer, mos, prosody] = trial::means(samples).0;
    json!({"fault": fault.to_string(), "cer": cer, "mos": mos, "prosody": prosody, "outcome": outcome.to_json()})
}

fn prompts() -> Vec<String> {
    let english = ["en".to_owned()];
    let prompts = ttsfleet_judge::Prompts::built_in(&english, |script| script == Script::Latin);
    let mut prompts = prompts.into_iter().flat_map(|mut prompts| {
        std::iter::from_fn(move || Some(prompts.next_prompt())).take_while(|prompt| prompt.speed.is_none())
    });
    prompts.by_ref().map(|prompt| prompt.text).collect()
}

/// Every prompt in every pair of speeds, either side first.
fn same_voice(speech: &Speech, hearing: &mut Hearing, prompts: &[String]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (number, text) in prompts.iter().enumerate() {
        let clips = SPEEDS.map(|speed| speech.speak(text, speed));
        for (first, baseline) in clips.iter().enumerate() {
            for (second, candidate) in clips.iter().enumerate() {
                if first != second {
                    samples.push(hearing.pair(text, baseline.as_ref(), candidate.as_ref())?);
                }
            }
        }
        hearing.note(number + 1, prompts.len(), "the same voice");
    }
    Ok(samples)
}

fn faulty(speech: &Speech, hearing: &mut Hearing, prompts: &[String], fault: Fault) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (number, text) in prompts.iter().enumerate() {
        let baseline = speech.speak(text, SPEEDS[number % 2 * 2]);
        let candidate = speech.spoil(text, SPEEDS[1], fault, number as u64);
        samples.push(hearing.pair(text, baseline.as_ref(), candidate.as_ref())?);
        hearing.note(number + 1, prompts.len(), &fault.to_string());
    }
    Ok(samples)
}

struct Options {
    json: Option<PathBuf>,
    runs: u32,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { json: None, runs: 200 };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => {}
                "--json" => options.json = Some(value()?.into()),
                "--runs" => options.runs = value()?.parse()?,
                other => bail!("unknown argument {other}; known: --json FILE, --runs N"),
            }
        }
        Ok(options)
    }
}
