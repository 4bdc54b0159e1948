//! Every rule of the TtsDeployment kind, asked of a real API server: one
//! sample that is accepted and one that is refused with the rule's message.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::progress::Silent;

const DEFINITION: &str = include_str!("../../crds/generated/ttsdeployments.yaml");

/// A rule, told by a piece of its message, with specs it accepts and refuses.
struct Rule {
    message: &'static str,
    accepted: Value,
    refused: Value,
}

fn pool(fields: Value) -> Value {
    let mut pool = json!({"name": "main"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        pool[key] = value.clone();
    }
    json!({"pools": [pool]})
}

fn resources(fields: Value) -> Value {
    pool(json!({"resources": fields}))
}

fn gpu(fields: Value) -> Value {
    resources(json!({"gpu": fields}))
}

fn model(name: &str, version: &str) -> Value {
    pool(json!({"model": {"name": name, "version": version, "source": {"uri": "file:///models/a"}}}))
}

fn source(uri: &str, digest: Option<&str>) -> Value {
    let mut source = json!({"uri": uri});
    if let Some(digest) = digest {
        source["digest"] = digest.into();
    }
    pool(json!({"model": {"name": "hibari", "version": "1", "source": source}}))
}

#[expect(clippy::too_many_lines, reason = "a table, one line a rule")]
fn rules() -> Vec<Rule> {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let digest = Some(digest.as_str());
    let rule = |message, accepted, refused| Rule { message, accepted, refused };
    vec![
        rule("drainTimeout must be", json!({"drainTimeout": "1m30s"}), json!({"drainTimeout": "2h"})),
        rule(
            "more than one pool needs routing tiers",
            json!({"pools": [{"name": "main"}]}),
            json!({"pools": [{"name": "main"}, {"name": "backup"}]}),
        ),
        rule("a pool's name must be", json!({"pools": [{"name": "a-1"}]}), json!({"pools": [{"name": "A"}]})),
        rule(
            "capacity.maxConcurrency must be at least",
            pool(json!({"capacity": {"workers": 4, "maxConcurrency": 4}})),
            pool(json!({"capacity": {"workers": 4, "maxConcurrency": 3}})),
        ),
        rule(
            "resources.memory must be",
            resources(json!({"memory": 8_589_934_592_u64})),
            resources(json!({"memory": "63Mi"})),
        ),
        rule("resources.cpu must be", resources(json!({"cpu": "1.5"})), resources(json!({"cpu": "1.5Gi"}))),
        rule(
            "resources.ephemeralStorage must be",
            resources(json!({"ephemeralStorage": "128Mi"})),
            resources(json!({"ephemeralStorage": "lots"})),
        ),
        rule(
            "gpu.count goes with",
            gpu(json!({"mode": "Exclusive", "count": 2})),
            gpu(json!({"mode": "None", "count": 2})),
        ),
        rule(
            "gpu.memoryLimit goes with",
            gpu(json!({"mode": "Mps", "memoryLimit": "6Gi"})),
            gpu(json!({"mode": "Exclusive", "memoryLimit": "6Gi"})),
        ),
        rule(
            "gpu.activeThreadPercent goes with",
            gpu(json!({"mode": "Mps", "memoryLimit": "6Gi", "activeThreadPercent": 100})),
            gpu(json!({"mode": "Exclusive", "activeThreadPercent": 50})),
        ),
        rule(
            "gpu.mode: Mps needs",
            gpu(json!({"mode": "Mps", "memoryLimit": "1Gi"})),
            gpu(json!({"mode": "Mps"})),
        ),
        rule(
            "gpu.memoryLimit must be",
            gpu(json!({"mode": "Mps", "memoryLimit": "64Mi"})),
            gpu(json!({"mode": "Mps", "memoryLimit": "1"})),
        ),
        rule("model.name must be", model("hibari", "1"), model("-hibari", "1")),
        rule("model.version must be", model("hibari", "2026-02"), model("hibari", "a b")),
        rule(
            "source.digest is required",
            source("file:///models/a", None),
            source("https://models.example/a", None),
        ),
        rule(
            "source.digest must be",
            source("https://models.example/a", digest),
            source("https://models.example/a", Some("sha256:1234")),
        ),
        rule(
            "source.uri must be",
            source("http://models.example:8000/a", digest),
            source("s3://models/a", digest),
        ),
        rule(
            "source.uri must not hold a user name",
            source("https://models.example/a@1", digest),
            source("https://user:secret@models.example/a", digest),
        ),
    ]
}

fn fleet(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "ttsfleet.dev/v1alpha1",
        "kind": "TtsDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    })
    .to_string()
}

fn api_server() -> ControlPlane {
    let plane = ControlPlane::start(Options::default(), &Silent).expect("an API server");
    plane.apply(DEFINITION).expect("the definition is accepted");
    plane
        .kubectl(&["wait", "--for=condition=Established", "crd/ttsdeployments.ttsfleet.dev", "--timeout=30s"])
        .expect("the kind is served");
    plane
}

/// The API server's answer to a spec: its complaint, or none.
fn complaint(plane: &ControlPlane, name: &str, spec: &Value) -> Option<String> {
    plane.apply(&fleet(name, spec)).err().map(|error| format!("{error:#}"))
}

#[test]
fn every_rule_accepts_what_it_should_and_says_what_to_write_instead() {
    let plane = api_server();
    for (index, Rule { message, accepted, refused }) in rules().into_iter().enumerate() {
        let answer = complaint(&plane, &format!("accepted-{index}"), &accepted);
        assert_eq!(answer, None, "{message}: {accepted}");
        let answer = complaint(&plane, &format!("refused-{index}"), &refused).unwrap_or_default();
        assert!(answer.contains(message), "{refused} was answered with {answer:?} instead of {message:?}");
    }

    // Rules about the name, and about changes.
    assert_eq!(complaint(&plane, &"n".repeat(40), &json!({})), None);
    for name in ["9lives", &"n".repeat(41), "a.b"] {
        let answer = complaint(&plane, name, &json!({})).unwrap_or_default();
        assert!(answer.contains("metadata.name must start with a letter"), "{name}: {answer}");
    }
    assert_eq!(complaint(&plane, "renamed", &json!({"pools": [{"name": "main"}]})), None);
    assert_eq!(complaint(&plane, "renamed", &json!({"replicas": 3, "pools": [{"name": "main"}]})), None);
    let answer = complaint(&plane, "renamed", &json!({"pools": [{"name": "other"}]})).unwrap_or_default();
    assert!(answer.contains("a pool's name cannot be changed"), "{answer}");
}

#[test]
fn no_rule_is_without_samples() {
    let mut messages = rules().into_iter().map(|rule| rule.message).collect::<BTreeSet<_>>();
    messages.extend(["metadata.name must start with a letter", "a pool's name cannot be changed"]);
    let rules = DEFINITION.matches("rule: ").count();
    assert_eq!(messages.len(), rules, "the definition has {rules} rules");
}

#[test]
fn the_shortest_fleet_gets_every_default() {
    let plane = api_server();
    assert_eq!(complaint(&plane, "narrator", &json!({})), None);
    let stored = plane.kubectl(&["get", "ttsd", "narrator", "-o", "json"]).expect("it is there");
    let stored: Value = serde_json::from_str(&stored).expect("JSON");
    assert_eq!(
        stored["spec"],
        json!({
            "replicas": 2,
            "drainTimeout": "30s",
            "pools": [{
                "name": "main",
                "resources": {"memory": "1Gi", "cpu": "1", "ephemeralStorage": "1Gi", "gpu": {"mode": "None"}},
                "capacity": {"workers": 2, "maxConcurrency": 30},
                "scheduling": {"topologySpread": true},
            }],
        })
    );
    plane.kubectl(&["scale", "ttsd", "narrator", "--replicas=4"]).expect("it can be scaled");
    let replicas =
        plane.kubectl(&["get", "ttsd", "narrator", "-o", "jsonpath={.spec.replicas}"]).expect("a number");
    assert_eq!(replicas, "4");
    let explained =
        plane.kubectl(&["explain", "ttsd.spec.pools.resources.gpu.memoryLimit"]).expect("an explanation");
    assert!(explained.contains("GPU memory that one pod may use"), "{explained}");
}
