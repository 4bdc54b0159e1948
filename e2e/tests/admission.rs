//! Every rule of the TtsDeployment kind, asked of a real API server: one
//! sample that is accepted and one that is refused with the rule's message.

mod samples;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use samples::{Rule, rules};
use serde_json::{Value, json};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::product::chart;
use ttsfleet_e2e::progress::Silent;
use ttsfleet_e2e::tools::ensure_helm;
use ttsfleet_e2e::waiting::wait_for;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const DEFINITION: &str = include_str!("../../crds/generated/ttsdeployments.yaml");

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
    api_server_with(Options::default())
}

fn api_server_with(options: Options) -> ControlPlane {
    let plane = ControlPlane::start(options, &Silent).expect("an API server");
    plane.apply(DEFINITION).expect("the definition is accepted");
    // A definition that has no condition yet is an error to kubectl.
    let established = ["wait", "--for=condition=Established", "crd/ttsdeployments.ttsfleet.dev"];
    wait_for("the kind is served", HALF_A_MINUTE, || plane.kubectl(&established).ok());
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
    let both = json!({"replicas": 3, "pools": [{"name": "main"}, {"name": "backup"}]});
    assert_eq!(complaint(&plane, "renamed", &both), None, "pools come");
    assert_eq!(complaint(&plane, "renamed", &json!({"pools": [{"name": "backup"}]})), None, "and go");
    let answer = complaint(&plane, "renamed", &json!({"pools": [{"name": "other"}]})).unwrap_or_default();
    assert!(answer.contains("a pool's name cannot be changed"), "{answer}");
}

#[test]
fn no_rule_is_without_samples() {
    let mut messages = rules().into_iter().map(|rule| rule.message).collect::<BTreeSet<_>>();
    messages.extend(["metadata.name must start with a letter", "a pool's name cannot be changed"]);
    // A kind of field that is there twice has its rules twice.
    let lines = DEFINITION.lines().filter_map(|line| line.split_once("message: "));
    let rules = lines.map(|(_, message)| message).collect::<BTreeSet<_>>().len();
    assert_eq!(messages.len(), rules, "the definition has {rules} rules");
}

/// The gates that a fleet has by default.
fn gates() -> Value {
    json!({
        "cer": {"maxIncreasePoints": "2.0"},
        "mos": {"maxDecrease": "0.10"},
        "prosody": {"maxDistance": "0.25"},
        "loudness": {"maxDifferenceDb": "3"},
        "treble": {"maxDifferenceDb": "6"},
        "errors": {"maxIncreasePoints": "5"},
        "firstSound": {"maxP95Ratio": "1.50"},
        "latency": {"maxP95Ratio": "1.20"},
        "confidencePercent": 95,
    })
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
                "capacity": {"workers": 8, "maxConcurrency": 30, "maxQueueDepth": 20},
                "scheduling": {"topologySpread": true},
            }],
            "gateway": {"replicas": 2, "resources": {"memory": "128Mi", "cpu": "250m"}},
            "routing": {"tierFrom": {}},
            "api": {"aliases": {"openai": true}, "strict": false, "publicLists": false, "cors": {}},
            "marking": {"enabled": true},
            "lexicon": {},
            "limits": {"maxInputChars": 600, "onOverflow": "Auto", "hardLimit": 4096, "onUnspeakable": "Skip"},
            "resilience": {
                "timeouts": {"attempt": "3s", "total": "9s", "idle": "3s", "client": "15s", "ingress": "35s"},
                "retries": {
                    "attempts": 3, "initialBackoff": "500ms", "maxBackoff": "2s", "budgetPercent": 20,
                },
                "breaker": {
                    "queue": {"openFor": "10s"},
                    "slowCall": {"threshold": "1500ms", "ratioPercent": 50, "recovery": "5s"},
                },
                "onExhausted": "Error",
            },
            "rollout": {
                "strategy": "Shadow",
                "shadow": {
                    "percent": 5, "replicas": 1, "minSamples": 300, "deadline": "1h", "promptsFrom": {},
                },
                "gates": gates(),
                "judge": {"recogniser": {"kind": "Embedded"}, "resources": {"memory": "512Mi", "cpu": "1"}},
                "promotion": "Automatic",
                "swap": {"headroom": "Overlap", "allowDowntime": false, "soak": "60s"},
                "paused": false,
            },
            "observability": {"logFormat": "Template"},
            "expose": {},
        })
    );
    plane.kubectl(&["scale", "ttsd", "narrator", "--replicas=4"]).expect("it can be scaled");
    let replicas =
        plane.kubectl(&["get", "ttsd", "narrator", "-o", "jsonpath={.spec.replicas}"]).expect("a number");
    assert_eq!(replicas, "4");
    // The API server describes a kind a moment after it serves it.
    let field = "ttsd.spec.pools.resources.gpu.memoryLimit";
    let explained = wait_for("an explanation", HALF_A_MINUTE, || plane.kubectl(&["explain", field]).ok());
    assert!(explained.contains("GPU memory that one pod may use"), "{explained}");
}

/// What a template of the chart becomes.
fn rendered(template: &str) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let helm = ensure_helm(&Silent).expect("helm").path("helm");
    let mut command = Command::new(helm);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.path());
    }
    let (chart, template) = (chart(), format!("templates/{template}"));
    let output = command.arg("template").arg("release").arg(chart).args(["--show-only", &template]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn pod(name: &str, containers: &Value, first: &Value) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app.kubernetes.io/name": "ttsfleet"}},
        "spec": {"containers": containers, "initContainers": first},
    })
    .to_string()
}

fn container(name: &str, request: &str, limit: &str) -> Value {
    let resources = json!({"requests": {"memory": request}, "limits": {"memory": limit}});
    json!({"name": name, "image": "any", "resources": resources})
}

#[test]
fn a_pod_is_refused_for_the_memory_of_our_containers_and_not_for_that_of_others() {
    let plane = api_server();
    plane.apply(&rendered("admission-policy.yaml")).expect("the policy is accepted");
    let answer = |name: &str, containers: Value, first: Value| {
        plane.apply(&pod(name, &containers, &first)).err().map(|error| format!("{error:#}"))
    };
    let mut number = 0;
    wait_for("the policy is followed", HALF_A_MINUTE, || {
        number += 1;
        answer(&format!("probe-{number}"), json!([container("server", "1Gi", "2Gi")]), json!([]))
    });
    for name in ["server", "gateway", "judge"] {
        let containers = json!([container("proxy", "1Mi", "2Mi"), container(name, "1Gi", "2Gi")]);
        let refusal = answer(&format!("{name}-refused"), containers, json!([])).unwrap_or_default();
        let words = format!("containers {name}: set resources.requests.memory and resources.limits.memory");
        assert!(refusal.contains(&words), "{refusal}");
        let containers = json!([container("istio-proxy", "128Mi", "1Gi"), container(name, "1Gi", "1024Mi")]);
        let first = json!([{"name": "agent", "image": "any"}]);
        assert_eq!(answer(&format!("{name}-with-sidecars"), containers, first), None);
    }
}

#[test]
fn whoever_may_view_or_edit_a_namespace_may_view_or_edit_its_fleets() {
    let plane = api_server_with(Options { controllers: true });
    plane.apply(&rendered("user-roles.yaml")).expect("the roles are accepted");
    for role in ["view", "edit", "admin"] {
        let binding =
            ["create", "rolebinding", role, &format!("--clusterrole={role}"), &format!("--user={role}")];
        plane.kubectl(&binding).expect("bound");
    }
    let may = |role: &str, verb: &str| {
        plane.kubectl(&["auth", "can-i", verb, "ttsdeployments", &format!("--as={role}")]).is_ok()
    };
    for (role, verb) in [("view", "list"), ("edit", "watch"), ("edit", "patch"), ("admin", "delete")] {
        wait_for("the roles are gathered", HALF_A_MINUTE, || may(role, verb).then_some(()));
    }
    assert!(!may("view", "patch") && !may("nobody", "list"));
}

#[test]
fn every_example_is_accepted() {
    let plane = api_server();
    let examples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).unwrap();
    for example in examples.map(|entry| entry.unwrap().path()) {
        let answer = plane.apply(&std::fs::read_to_string(&example).unwrap());
        assert!(answer.is_ok(), "{}: {answer:?}", example.display());
    }
}
