//! What a caller who asks for ten times its share costs the others: their time
//! to the first audio beside that while it keeps to its share, in turn, and how
//! much of what the pods can do is used.
//!
//! `cargo xtask bench fairness [--json FILE]`

#![allow(clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../../bench_options.rs"]
mod bench_options;
#[path = "../../closed.rs"]
mod closed;
#[path = "../../load.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod load;

use std::time::Duration;

use anyhow::Result;
use bench_options::BenchOptions;
use clap::Parser;
use closed::runtime;
use load::{Outcome, Sample, Shot, percentile, steady};
use serde::Serialize;
use serde_json::json;
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::product::{build_images, install};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::target::Target;

const CLUSTER: &str = "bench";
const NAMESPACE: &str = "fairness";
const NAME: &str = "fair";
/// Rounds of each load, in turn, and how long each lasts, in seconds.
const ROUNDS: usize = 4;
const SECONDS: f64 = 15.0;
/// The others' load, and the heavy caller's share and what it asks for in the
/// heavy rounds, in parts of what the pods can do.
const OTHERS: f64 = 0.4;
const SHARE: f64 = 0.5;
const TIMES: f64 = 10.0;

const SHORT: &str = "Please call me back tomorrow morning before nine.";
const SENTENCE: &str = "The old bridge was closed because of the heavy rain. ";
/// Sentences of the heavy caller's texts.
const SENTENCES: usize = 8;

const OTHERS_KEY: &str = "others-key";
const HEAVY_KEY: &str = "heavy-key";

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: BenchOptions,
}

/// What the others got under one load. Times are in milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    load: &'static str,
    requests: usize,
    spoken: usize,
    refused: usize,
    /// How others failed, and in which second they had been sent.
    failures: Vec<String>,
    first_audio_p50: f64,
    first_audio_p99: f64,
    /// Requests of the heavy caller, and those of them that were spoken.
    heavy_requests: usize,
    heavy_spoken: usize,
    /// Speech made for all, in percent of what the pods can do.
    used_percent: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let images = build_images(&Console::default())?;
    let cluster = Cluster::up(CLUSTER, &Console::default())?;
    install(&cluster, &images)?;
    let measured = measure(&cluster);
    Cluster::down(CLUSTER, &Console::default())?;
    let (capacity, figures) = measured?;
    print(capacity, &figures);
    options.common.write(&json!({"capacity": capacity, "loads": figures}))
}

fn measure(cluster: &Cluster) -> Result<(f64, Vec<Figures>)> {
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    let keys = format!("--from-literal=standard={OTHERS_KEY}\n{HEAVY_KEY}");
    cluster.kubectl(&["-n", NAMESPACE, "create", "secret", "generic", "keys", &keys])?;
    cluster.apply(&fleet().to_string())?;
    let object = format!("ttsd/{NAME}");
    cluster.kubectl(&["-n", NAMESPACE, "wait", "--for=condition=Ready", &object, "--timeout=120s"])?;
    let url = cluster.reach(NAMESPACE, NAME)?.url.clone();
    let (capacity, seconds) = capacity(&url);
    println!("  the pods make {capacity:.1} s of speech a second");
    let mut rounds: [(&str, f64, Vec<Round>); 2] =
        [("at its share", SHARE, Vec::new()), ("at ten times its share", SHARE * TIMES, Vec::new())];
    for number in 1..=ROUNDS {
        for (name, part, done) in &mut rounds {
            println!("  round {number} of {ROUNDS}: the heavy caller {name}");
            done.push(round(&url, capacity, &seconds, *part));
        }
    }
    Ok((capacity, rounds.map(|(name, _, rounds)| figures(name, capacity, &rounds)).into()))
}

fn fleet() -> serde_json::Value {
    json!({
        "apiVersion": "ttsfleet.dev/v1alpha1", "kind": "TtsDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "pools": [{"name": "main", "resources": {"memory": "512Mi", "cpu": "500m"}}],
            "routing": {
                "tiers": [{"name": "standard", "pools": ["main"]}],
                "tierFrom": {"apiKeySecretRef": {"name": "keys"}},
            },
        },
    })
}

fn heavy_text() -> String {
    SENTENCE.repeat(SENTENCES)
}

/// Speech in one text of each caller, in seconds.
struct Lengths {
    short: f64,
    heavy: f64,
}

/// What the pods make at most, in seconds of speech a second, told by callers
/// that wait for each other.
fn capacity(url: &str) -> (f64, Lengths) {
    let audio = |text: String| closed::one(url, Some(OTHERS_KEY), text).audio;
    let lengths = Lengths { short: audio(SHORT.to_owned()), heavy: audio(heavy_text()) };
    let texts = |number: usize| {
        std::iter::repeat(if number.is_multiple_of(2) { SHORT.to_owned() } else { heavy_text() })
    };
    (closed::capacity(url, Some(OTHERS_KEY), texts), lengths)
}

/// What became of both callers' requests.
struct Round {
    others: Vec<Sample>,
    heavy: Vec<Sample>,
}

fn round(url: &str, capacity: f64, seconds: &Lengths, heavy_part: f64) -> Round {
    let rate = |part: f64, length: f64| part * capacity / length;
    let keyed = |rate: f64, text: &str, key| {
        let shots = steady(0.0, SECONDS, rate, || text.to_owned());
        shots.into_iter().map(move |shot| Shot { key: Some(key), ..shot }).collect::<Vec<_>>()
    };
    let others = keyed(rate(OTHERS, seconds.short), SHORT, OTHERS_KEY);
    let heavy = keyed(rate(heavy_part, seconds.heavy), &heavy_text(), HEAVY_KEY);
    std::thread::scope(|scope| {
        let heavy = scope.spawn(|| runtime().block_on(load::run(url, heavy)));
        let others = runtime().block_on(load::run(url, others));
        Round { others, heavy: heavy.join().unwrap() }
    })
}

fn figures(load: &'static str, capacity: f64, rounds: &[Round]) -> Figures {
    let spoken = |sample: &&Sample| matches!(sample.outcome, Outcome::Spoken { degraded: None, .. });
    let all = |of: fn(&Round) -> &Vec<Sample>| rounds.iter().flat_map(of).collect::<Vec<_>>();
    let (others, heavy) = (all(|round| &round.others), all(|round| &round.heavy));
    let mut firsts: Vec<Duration> =
        others.iter().copied().filter(spoken).map(|sample| sample.first).collect();
    let made: f64 = others.iter().chain(&heavy).map(|sample| sample.came(0.0, SECONDS)).sum();
    let refused = |sample: &&Sample| matches!(sample.outcome, Outcome::Refused { .. });
    Figures {
        load,
        requests: others.len(),
        spoken: firsts.len(),
        refused: others.iter().copied().filter(refused).count(),
        failures: others.iter().filter_map(|sample| sample.failure()).collect(),
        first_audio_p50: percentile(&mut firsts, 50.0).as_secs_f64() * 1000.0,
        first_audio_p99: percentile(&mut firsts, 99.0).as_secs_f64() * 1000.0,
        heavy_requests: heavy.len(),
        heavy_spoken: heavy.iter().copied().filter(spoken).count(),
        used_percent: 100.0 * made / (capacity * SECONDS * rounds.len() as f64),
    }
}

fn print(capacity: f64, figures: &[Figures]) {
    println!("\nthe pods make {capacity:.1} s of speech a second");
    println!(
        "{:<26}{:>10}{:>9}{:>9}{:>11}{:>11}{:>9}{:>9}{:>8}",
        "the heavy caller", "others", "spoken", "refused", "p50, ms", "p99, ms", "heavy", "spoken", "used"
    );
    for one in figures {
        println!(
            "{:<26}{:>10}{:>9}{:>9}{:>11.0}{:>11.0}{:>9}{:>9}{:>7.0}%",
            one.load,
            one.requests,
            one.spoken,
            one.refused,
            one.first_audio_p50,
            one.first_audio_p99,
            one.heavy_requests,
            one.heavy_spoken,
            one.used_percent
        );
    }
    if let [usual, heavy] = figures {
        println!("the others' p99: {:.2} times", heavy.first_audio_p99 / usual.first_audio_p99);
    }
}
