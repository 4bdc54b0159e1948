use serde_json::{Value, json};

use super::*;

fn at(minute: u8, second: u8) -> String {
    format!("2026-11-24T12:{minute:02}:{second:02}Z")
}

fn plain(fleet: &TtsDeployment, pods: &[Pod]) -> String {
    let text = render(fleet, pods, at(10, 0).parse().unwrap());
    anstream::adapter::strip_str(&text).to_string()
}

fn pod(name: &str, component: &str, status: Value) -> Pod {
    let pool = if ["shadow", "baseline", "judge"].contains(&component) {
        "ttsfleet.dev/trial-of"
    } else {
        "ttsfleet.dev/pool"
    };
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("narrator-{name}"),
            "creationTimestamp": at(2, 0),
            "labels": {"app.kubernetes.io/component": component, pool: "main"},
        },
        "spec": {"containers": [], "nodeName": "node-1"},
        "status": status,
    }))
    .unwrap()
}

fn ready() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(0, 0),
    })
}

fn fleet(pool: &Value, conditions: &Value) -> TtsDeployment {
    serde_json::from_value(json!({
        "apiVersion": "ttsfleet.dev/v1alpha1",
        "kind": "TtsDeployment",
        "metadata": {"name": "narrator", "creationTimestamp": at(0, 0)},
        "spec": {},
        "status": {
            "replicas": 2, "readyReplicas": 2, "gateway": {"replicas": 1, "ready": 1},
            "pools": [pool], "conditions": conditions,
        },
    }))
    .unwrap()
}

fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

fn gate(name: &str, verdict: &str, [baseline, candidate, interval, bound]: [&str; 4]) -> Value {
    json!({
        "name": name, "verdict": verdict, "baseline": baseline, "candidate": candidate,
        "interval": interval, "bound": bound,
    })
}

#[test]
fn a_rollout_under_way_is_told_from_fleet_to_gate() {
    let pool = json!({
        "name": "main", "replicas": 2, "ready": 2,
        "model": {"name": "hibari", "version": "0.2.1", "digest": digest("a")},
        "serving": [{"model": "hibari@0.2.1", "digest": digest("a"), "pods": 2}],
        "rollout": {
            "phase": "Shadowing", "since": at(8, 30),
            "candidate": {"name": "hibari", "version": "better", "digest": digest("b")},
            "message": "compared with hibari@0.2.1", "samples": 12, "minSamples": 20,
            "gates": [
                gate("cer", "Pass", ["2.5 %", "2.6 %", "+0.10 (-0.40 to +0.60) points", "at most +2 points"]),
                gate("mos", "Inconclusive", ["4.17", "4.10", "-0.070 (-0.150 to +0.010)", "at most 0.1 lower"]),
            ],
        },
        "history": [{
            "model": "hibari@noisy", "digest": digest("c"), "outcome": "Rejected",
            "message": "mos: -1.200 (-1.400 to -1.000), at most 0.1 lower", "at": at(5, 0),
        }],
    });
    let conditions = json!([
        condition("Ready", "True", "AllPodsReady", "all pods serve"),
        condition("QualityGate", "Unknown", "Judging", "hibari@better is compared, 12 of 20 pairs"),
        condition("Degraded", "False", "AsExpected", "nothing is wrong"),
    ]);
    let waiting = json!({
        "phase": "Pending",
        "containerStatuses": [{
            "name": "judge", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }],
    });
    let pods = [
        pod("main-b", "inference", ready()),
        pod("main-a", "inference", ready()),
        pod("gateway-a", "gateway", ready()),
        pod("main-shadow-a", "shadow", json!({"phase": "Running"})),
        pod("main-baseline-a", "baseline", ready()),
        pod("main-judge-a", "judge", waiting),
    ];
    insta::assert_snapshot!(plain(&fleet(&pool, &conditions), &pods));
}

#[test]
fn a_refused_voice_stays_in_sight_with_its_reason() {
    let pool = json!({
        "name": "main", "replicas": 2, "ready": 2,
        "rollout": {
            "phase": "Stable", "since": at(5, 0), "candidate": {"name": "hibari", "version": "noisy"},
            "message": "refused by the gate mos", "samples": 20, "minSamples": 20,
            "gates": [gate("mos", "Fail", ["4.17", "2.70", "-1.470 (-1.600 to -1.340)", "at most 0.1 lower"])],
        },
        "history": [{"model": "hibari@noisy", "outcome": "Rejected", "message": "mos", "at": at(5, 0)}],
    });
    let conditions = json!([
        condition("Ready", "True", "AllPodsReady", "all pods serve"),
        condition("QualityGate", "False", "Rejected", "hibari@noisy was refused: mos"),
        condition("Degraded", "True", "ModelLoadFailed", "a pod could not load its model"),
    ]);
    insta::assert_snapshot!(plain(&fleet(&pool, &conditions), &[]));
}

#[test]
fn a_fleet_that_nobody_has_seen_is_said_to_be_so() {
    let mut fleet = fleet(&json!({"name": "main", "replicas": 0, "ready": 0}), &json!([]));
    fleet.status = None;
    assert!(plain(&fleet, &[]).contains("the operator has not seen it yet"));
}

#[test]
fn a_lexicon_is_told_of_where_something_is_wrong_with_it() {
    let pool = json!({"name": "main", "replicas": 2, "ready": 2});
    let told = |status: &str, reason: &str| {
        plain(&fleet(&pool, &json!([condition("LexiconApplied", status, reason, "Left out: k8s.")])), &[])
    };
    let bad = told("False", "InvalidEntries");
    assert!(bad.contains("Lexicon: ✖ InvalidEntries: Left out: k8s."), "{bad}");
    assert!(!told("True", "EntriesApplied").contains("Lexicon"));
}
