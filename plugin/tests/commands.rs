//! The plugin against a real API server, with the operator's part played by
//! the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::progress::Silent;

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/generated");

fn server() -> ControlPlane {
    let server = ControlPlane::start(Options::default(), &Silent).unwrap();
    server.kubectl(&["apply", "--server-side", "-f", CRDS]).unwrap();
    let established = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
    // kubectl takes a CRD that has no conditions at all yet for a broken one.
    let begun = Instant::now();
    while let Err(error) = server.kubectl(&established) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
    }
    server
}

/// Runs the plugin: whether it was content, and all that it said.
fn plugin(server: &ControlPlane, arguments: &[&str]) -> (bool, String) {
    told(command(server, arguments).output().unwrap())
}

fn command(server: &ControlPlane, arguments: &[&str]) -> Command {
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_kubectl-ttsfleet"));
    plugin.args(arguments).env("KUBECONFIG", server.kubeconfig());
    plugin
}

fn told(output: Output) -> (bool, String) {
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn fleet(server: &ControlPlane) -> Value {
    serde_json::from_str(&server.kubectl(&["get", "ttsd", "narrator", "-o", "json"]).unwrap()).unwrap()
}

/// A fleet whose pools' rollouts are in this phase.
fn set(server: &ControlPlane, phase: &str, pools: &[&str]) {
    let manifest = json!({
        "apiVersion": "ttsfleet.dev/v1alpha1", "kind": "TtsDeployment",
        "metadata": {"name": "narrator", "namespace": "default"}, "spec": {},
    });
    server.apply(&manifest.to_string()).unwrap();
    let pool = |name: &&str| {
        json!({
            "name": name, "replicas": 2, "ready": 2,
            "rollout": {
                "phase": phase, "since": "2026-11-24T12:00:00Z", "samples": 20, "minSamples": 20,
                "candidate": {"name": "hibari", "version": "better"}, "message": "it waits",
            },
        })
    };
    let status = json!({"status": {
        "observedGeneration": fleet(server)["metadata"]["generation"],
        "pools": pools.iter().map(pool).collect::<Vec<_>>(),
    }});
    let line =
        ["patch", "ttsd", "narrator", "--subresource=status", "--type=merge", "-p", &status.to_string()];
    server.kubectl(&line).unwrap();
}

#[test]
fn what_people_say_is_written_on_the_fleet_and_what_follows_is_told() {
    let server = server();
    let (done, said) = plugin(&server, &["status", "narrator"]);
    assert!(!done && said.contains("there is no fleet narrator in namespace default"), "{said}");

    set(&server, "Paused", &["main"]);
    let (done, said) = plugin(&server, &["status", "narrator"]);
    assert!(done && said.contains("candidate hibari@better") && !said.contains('\x1b'), "{said}");
    let (done, said) = plugin(&server, &["promote", "narrator", "--pool", "main"]);
    assert!(done && said.contains("swap to hibari@better now"), "{said}");
    let written = fleet(&server)["metadata"]["annotations"]["ttsfleet.dev/promote"].clone();
    assert!(written.as_str().unwrap().starts_with("main/hibari@better/20"), "{written}");

    set(&server, "Soaking", &["main"]);
    let (done, said) = plugin(&server, &["promote", "narrator", "--namespace", "default"]);
    assert!(!done && said.contains("has been let in already"), "{said}");
    assert_eq!(fleet(&server)["metadata"]["annotations"]["ttsfleet.dev/promote"], written);
    let (done, said) = plugin(&server, &["abort", "narrator"]);
    assert!(done && said.contains("go back"), "{said}");
}

/// So many that each is heard within its tries even if it is always the last.
#[test]
fn people_who_speak_of_several_pools_at_once_are_all_heard() {
    let (server, pools) = (server(), ["main", "second", "third", "fourth"]);
    set(&server, "Paused", &pools);
    let begin = |pool: &str| {
        let mut plugin = command(&server, &["promote", "narrator", "--pool", pool]);
        plugin.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for plugin in pools.map(begin) {
        let (done, said) = told(plugin.wait_with_output().unwrap());
        assert!(done, "{said}");
    }
    let written = fleet(&server)["metadata"]["annotations"]["ttsfleet.dev/promote"].clone();
    let written = written.as_str().unwrap();
    for pool in pools {
        assert!(written.contains(&format!("{pool}/hibari@better/")), "{pool} is missing from {written}");
    }
}
