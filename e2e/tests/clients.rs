//! Clients of OpenAI's API, unmodified and with their own defaults, against a fleet.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Namespace, cluster};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::target::Target;
use ttsfleet_e2e::{npm, python};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

const OPENAI_PYTHON: [&str; 2] = ["openai", "3.54.0"];
const LIVEKIT: [&str; 2] = ["livekit-plugins-openai", "1.8.9"];
const PIPECAT: [&str; 2] = ["pipecat-ai[openai]", "1.14.0"];
const OPENAPI: [&str; 2] = ["openapi-spec-validator", "0.9.0"];
const NODE: [&str; 3] = ["openai@7.59.0", "ai@7.0.173", "@ai-sdk/openai@4.0.118"];

/// A fleet that asks for keys, and has one place.
const SPEC: &str = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, limits: {maxInputChars: 4096}, \
                    routing: {tiers: [{name: standard, pools: [main]}], tierFrom: {apiKeySecretRef: {name: keys}}}, \
                    pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}, \
                    capacity: {workers: 1, maxConcurrency: 1, maxQueueDepth: 0}}]}";
const KEY: &str = "good-key";

#[test]
fn unmodified_clients_speak_with_what_they_send_by_themselves() {
    let space = Namespace::fresh("clients");
    let keys = format!("--from-literal=standard={KEY}");
    space.kubectl(&["create", "secret", "generic", "keys", &keys]).unwrap();
    space.fleet("spoken", SPEC);
    space.wait_ready("spoken");
    let url = cluster().reach(&space.name, "spoken").unwrap().url.clone();

    let listed = python(OPENAI_PYTHON, "openai_python.py", &[&url, KEY, "bad-key"]);
    assert!(listed.contains("hibari"), "{listed}");
    python(LIVEKIT, "livekit_agents.py", &[&url, KEY]);
    python(PIPECAT, "pipecat_openai.py", &[&url, KEY]);
    python(OPENAPI, "openapi_check.py", &[&url, KEY]);
    node("openai_node.mjs", &[&url, KEY]);
    node("vercel_ai.mjs", &[&url, KEY]);
}

fn python([name, version]: [&str; 2], script: &str, arguments: &[&str]) -> String {
    let packages = python::package(name, version, &Console::default()).unwrap();
    let script = Path::new(SCRIPTS).join(script);
    finish(Command::new("python3").arg(script).args(arguments).env("PYTHONPATH", packages))
}

/// Node looks for packages beside the script.
fn node(script: &str, arguments: &[&str]) -> String {
    let folder: PathBuf = npm::packages("clients", &NODE, &Console::default()).unwrap();
    std::fs::copy(Path::new(SCRIPTS).join(script), folder.join(script)).unwrap();
    finish(Command::new("node").arg(folder.join(script)).args(arguments))
}

fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{complaint}");
    out.into_owned()
}
