//! OpenAI's own Python client, unmodified, against a fleet.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use support::{Namespace, cluster};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::python;
use ttsfleet_e2e::target::Target;

const VERSION: &str = "3.54.0";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openai_sdk.py");

#[test]
fn openais_client_speaks_streams_and_raises_its_own_exceptions() {
    let space = Namespace::fresh("sdk");
    space.kubectl(&["create", "secret", "generic", "keys", "--from-literal=standard=good-key"]).unwrap();
    let spec = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, limits: {maxInputChars: 4096}, \
                routing: {tiers: [{name: standard, pools: [main]}], tierFrom: {apiKeySecretRef: {name: keys}}}, \
                pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}, \
                capacity: {workers: 1, maxConcurrency: 1, maxQueueDepth: 0}}]}";
    space.fleet("spoken", spec);
    space.wait_ready("spoken");
    let route = cluster().reach(&space.name, "spoken").unwrap();
    let packages = python::package("openai", VERSION, &Console::default()).unwrap();
    let output = Command::new("python3")
        .args([SCRIPT, &route.url, "good-key", "bad-key"])
        .env("PYTHONPATH", packages)
        .output()
        .unwrap();
    let (out, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{complaint}");
    assert!(out.contains("hibari"), "{out}");
}
