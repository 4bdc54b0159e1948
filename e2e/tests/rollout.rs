//! New voices reach callers only if they are as good, and then without a
//! restart, a gap or a mixture.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../load.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod load;
mod shipping;
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shipping::{Stage, assert_whole, digest, first_digest, voices};
use support::{alone, cluster};
use ttsfleet_e2e::cluster::PodSignal;
use ttsfleet_e2e::product::NAMESPACE;
use ttsfleet_e2e::waiting::eventually;

/// A comparison that few pairs decide. So few leave wide intervals, also where
/// all are equal, and the time of two cores that much is asked of says nothing.
const QUICK: &str = "{shadow: {percent: 30, minSamples: 20, deadline: 4m, \
                      promptsFrom: {configMapRef: {name: prompts}}}, swap: {soak: 5s}, \
                      gates: {confidencePercent: 90, cer: {maxIncreasePoints: \"25\"}, \
                      mos: {maxDecrease: \"0.25\"}, prosody: {maxDistance: \"0.30\"}, \
                      loudness: {maxDifferenceDb: \"4\"}, \
                      errors: {maxIncreasePoints: \"25\"}, firstSound: {maxP95Ratio: \"100\"}, \
                      latency: {maxP95Ratio: \"100\"}}}";

/// One in which nothing passes, and what is bad is seen early.
const STRICT: &str = "{shadow: {minSamples: 10, deadline: 4m, promptsFrom: {configMapRef: {name: prompts}}}, \
                       gates: {confidencePercent: 90, cer: {maxIncreasePoints: \"6\"}, \
                       errors: {maxIncreasePoints: \"5\"}}}";

#[test]
fn an_equal_voice_is_compared_and_swapped_in_under_load_without_a_restart_or_a_failure() {
    let _alone = alone();
    let stage = Stage::set("equal", QUICK);
    let pods = stage.pods();
    let mut after = Vec::new();
    let answers = stage.heard(|| {
        stage.ship("equal");
        let ending = stage.ending("equal");
        assert_eq!(ending["outcome"], "Promoted", "{ending}");
        after = stage.heard(|| ());
    });
    let models = [first_digest(&answers), digest("equal")];
    assert_ne!(models[0], models[1]);
    assert_whole(&answers, &models);
    assert_whole(&after, &models[1..]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
    let condition = stage.space.condition("narrator", "QualityGate");
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("Passed")));
    println!("{} answers while the voice changed, {} after", answers.len(), after.len());
}

#[test]
fn a_voice_swapped_in_untested_is_heard_whole_or_not_at_all() {
    let _alone = alone();
    let stage = Stage::set("direct", "{strategy: Direct, swap: {soak: 3s}}");
    let pods = stage.pods();
    let answers = stage.heard(|| {
        // It speaks faster, so that a mixture would be of neither length.
        for version in ["fast", "equal", "wrong-pitch"] {
            stage.ship(version);
            assert_eq!(stage.ending(version)["outcome"], "Promoted");
        }
    });
    let built_in = first_digest(&answers);
    assert_whole(&answers, &[built_in, digest("fast"), digest("equal"), digest("wrong-pitch")]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}

/// A voice, and gates one of which must name it as the reason.
const DEGRADED: [(&str, &[&str]); 16] = [
    ("noisy", &["mos", "cer"]),
    ("wrong-melody", &["prosody"]),
    ("monotone", &["prosody"]),
    ("wrong-pitch", &["prosody"]),
    ("fast", &["prosody", "cer"]),
    ("dropped-phonemes", &["cer"]),
    ("silent", &["load", "cer"]),
    ("truncated", &["cer", "prosody"]),
    ("late-start", &["firstSound"]),
    ("slow", &["latency", "firstSound"]),
    ("failing", &["errors"]),
    ("unloadable", &["load"]),
    ("altered", &["load"]),
    ("crashing", &["load"]),
    ("out-of-memory", &["load"]),
    ("hanging", &["load"]),
];

#[test]
fn every_degraded_voice_is_refused_by_the_right_gate_and_nobody_hears_it() {
    let _alone = alone();
    let stage = Stage::set("degraded", STRICT);
    let (pods, stable) = (stage.pods(), stage.pool()["model"].clone());
    let gate = |name: &str, bound: &Value| json!({"op": "add", "path": format!("/spec/rollout/gates/{name}"), "value": bound});
    for (version, gates) in DEGRADED {
        // What hangs is only told by the deadline.
        let deadline = if version == "hanging" { "1m" } else { "4m" };
        let bound = json!({"op": "replace", "path": "/spec/rollout/shadow/deadline", "value": deadline});
        // Who leaves sounds out has another melody, too; here the words shall tell.
        let melody = if gates == ["cer"] { "1.4" } else { "0.25" };
        let melody = gate("prosody", &json!({"maxDistance": melody}));
        // Two cores that do something else as well make one of two equal voices slower.
        let slower = if gates.contains(&"latency") { "1.2" } else { "100" };
        let slower = gate("latency", &json!({"maxP95Ratio": slower}));
        let model = json!({"op": "add", "path": "/spec/pools/0/model", "value": model(&stage, version)});
        let begun = Instant::now();
        stage.patch(&json!([bound, melody, slower, model]));
        let message = assert_refused(&stage, version, gates);
        println!("{version}: refused after {:?}: {message}", begun.elapsed());
        assert_eq!(stage.pods(), pods, "{version}: pods and restarts");
        assert_eq!(stage.pool()["model"], stable, "{version}: what the pods are told to serve");
    }
    let mut other = model(&stage, "better");
    other["source"]["digest"] = json!(digest("equal"));
    stage.ship_model(&other);
    assert_refused(&stage, "better", &["load"]);
    let heard = stage.heard(|| ());
    assert_whole(&heard, &[first_digest(&heard)]);
}

fn model(stage: &Stage, version: &str) -> Value {
    voices().model(version, &stage.space.name).unwrap()
}

/// Waits for the end of a rollout, which one of these gates must have brought;
/// what was said of it.
fn assert_refused(stage: &Stage, version: &str, gates: &[&str]) -> String {
    let ending = stage.ending(version);
    assert_eq!(ending["outcome"], "Rejected", "{version}: {ending}");
    let message = ending["message"].as_str().unwrap();
    let named =
        message.split("; ").any(|part| gates.iter().any(|gate| part.starts_with(&format!("{gate}:"))));
    assert!(named, "{version}: one of {gates:?} should have refused it: {message}");
    let condition = stage.space.condition("narrator", "QualityGate");
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("False"), &json!("Rejected")),
        "{condition}"
    );
    message.to_owned()
}

#[test]
fn an_operator_killed_in_every_phase_brings_the_rollout_to_its_end() {
    let _alone = alone();
    let stage = Stage::set("orphaned", QUICK);
    let pods = stage.pods();
    let answers = stage.heard(|| {
        stage.ship("equal");
        for phases in [&["Staging"][..], &["Shadowing"], &["Promoting", "Soaking"]] {
            stage.wait_phase(&[phases, &["Stable"]].concat());
            let line = ["-n", NAMESPACE, "delete", "pod", "-l", "app.kubernetes.io/name=ttsfleet-operator"];
            cluster().kubectl(&[&line[..], &["--grace-period=0", "--force"]].concat()).unwrap();
        }
        assert_eq!(stage.ending("equal")["outcome"], "Promoted");
    });
    assert_whole(&answers, &[first_digest(&answers), digest("equal")]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}

#[test]
fn a_pod_of_a_comparison_or_a_judge_that_freezes_or_dies_harms_no_caller() {
    let _alone = alone();
    let everything = QUICK.replace("percent: 30", "percent: 100");
    let stage = Stage::set("shadowed", &everything);
    let pods = stage.pods();
    let answers = stage.heard(|| {
        stage.ship("equal");
        stage.wait_phase(&["Shadowing"]);
        for component in ["shadow", "baseline", "judge"] {
            let pod = stage.pod_of(component);
            let signal = |signal| cluster().signal_pod(&stage.space.name, &pod, signal).unwrap();
            signal(PodSignal::Freeze);
            std::thread::sleep(Duration::from_secs(6));
            signal(PodSignal::Thaw);
            signal(PodSignal::Kill);
        }
        // A candidate that died is refused; if nobody saw it die, it passes.
        stage.ending("equal");
    });
    assert_whole(&answers, &[first_digest(&answers), digest("equal")]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}

#[test]
fn people_promote_abort_and_retry_with_the_plugin() {
    let _alone = alone();
    let stage = Stage::set("manual", &QUICK.replacen('{', "{promotion: Manual, ", 1));
    let (done, refusal) = stage.plugin(&["promote", "narrator"]);
    assert!(!done && refusal.contains("no rollout is under way"), "{refusal}");

    stage.ship("equal");
    stage.wait_phase(&["Staging", "Shadowing"]);
    let (done, said) = stage.plugin(&["abort", "narrator"]);
    assert!(done, "{said}");
    assert_eq!(stage.ending("equal")["outcome"], "Aborted");

    let (done, said) = stage.plugin(&["retry", "narrator"]);
    assert!(done, "{said}");
    stage.wait_phase(&["Paused"]);
    assert_eq!(stage.space.condition("narrator", "QualityGate")["reason"], "AwaitingPromotion");
    let (_, picture) = stage.plugin(&["status", "narrator"]);
    println!("{picture}");
    assert!(picture.contains("candidate hibari@equal") && picture.contains("gate prosody"), "{picture}");

    let (done, said) = stage.plugin(&["promote", "narrator"]);
    assert!(done, "{said}");
    eventually("it is promoted", shipping::ROLLOUT, || stage.pool()["history"][0]["outcome"] == "Promoted");
    let (_, history) = stage.plugin(&["history", "narrator"]);
    assert!(history.contains("Promoted") && history.contains("Aborted"), "{history}");
}
