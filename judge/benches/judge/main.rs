//! How well the judge tells voices apart: `cargo xtask bench judge`.
//!
//! The built-in voice speaks the built-in prompts, once as it is, once a
//! little faster, once a little slower; these are compared with one another as
//! if they were two models (A/A). Then one side is made worse step by step.
//! What is measured in each pair is kept on disk; comparisons of three hundred
//! pairs are drawn from it.

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
use ttsfleet_judge::{Prompt, Prompts, normalise::Script, tally::Sample};

/// Prompts that the same voice speaks, and that each fault is put to.
const PROMPTS: usize = 150;
const PROMPTS_PER_FAULT: usize = 40;
/// Pairs of a comparison, as many as a fleet's that says nothing.
const PAIRS: usize = 300;
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
    let same = trial::runs(&equal, Rounds { runs: options.runs, pairs: PAIRS }, &gates);
    println!("A/A, {} runs of {PAIRS} pairs, looked at after each: {same}", options.runs);
    report["aa"] = same.to_json();
    let mut faults = Vec::new();
    for fault in FAULTS {
        let samples = faulty(&speech, &mut hearing, &prompts[..PROMPTS_PER_FAULT], fault)?;
        let outcome = trial::runs(&samples, Rounds { runs: options.runs, pairs: PAIRS }, &gates);
        println!("{:<32} {}{outcome}", fault.to_string(), trial::means(&samples));
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
    let means = trial::means(samples).to_json();
    json!({"fault": fault.to_string(), "means": means, "outcome": outcome.to_json()})
}

fn prompts() -> Vec<Prompt> {
    let english = ["en".to_owned()];
    let prompts = Prompts::built_in(&english, |script| script == Script::Latin);
    prompts.into_iter().flat_map(|mut prompts| (0..PROMPTS).map(move |_| prompts.next_prompt())).collect()
}

fn meant(prompt: &Prompt) -> &str {
    prompt.said.as_deref().unwrap_or(&prompt.text)
}

/// Every prompt in every pair of speeds, either side first.
fn same_voice(speech: &Speech, hearing: &mut Hearing, prompts: &[Prompt]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (number, prompt) in prompts.iter().enumerate() {
        let clips = SPEEDS.map(|speed| speech.speak(&prompt.text, speed));
        for (first, baseline) in clips.iter().enumerate() {
            for (second, candidate) in clips.iter().enumerate() {
                if first != second {
                    samples.push(hearing.pair(meant(prompt), baseline.as_ref(), candidate.as_ref())?);
                }
            }
        }
        hearing.note(number + 1, prompts.len(), "the same voice");
    }
    Ok(samples)
}

fn faulty(speech: &Speech, hearing: &mut Hearing, prompts: &[Prompt], fault: Fault) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (number, prompt) in prompts.iter().enumerate() {
        let baseline = speech.speak(&prompt.text, SPEEDS[number % 2 * 2]);
        let candidate = speech.spoil(&prompt.text, SPEEDS[1], fault, number as u64);
        samples.push(hearing.pair(meant(prompt), baseline.as_ref(), candidate.as_ref())?);
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
