//! The operator and the API server may die at any moment.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{Namespace, cluster};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::product::operator_binary;
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::waiting::eventually;

const FLEET: &str = "{apiVersion: ttsfleet.dev/v1alpha1, kind: TtsDeployment, metadata: {name: phoenix, namespace: default}, spec: {}}";
const CHILDREN: &str = "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,replicasets,pods,roles,rolebindings";
/// Two of each kind, for pods and gateway, but four pods, a Role and a RoleBinding.
const COMPLETE: usize = 20;

/// The operator as a process of this machine, which can be killed as often as
/// one likes: the kubelet would make it wait longer each time.
struct Operator(Child);

impl Operator {
    fn start(binary: &Path, server: &ControlPlane) -> Self {
        let mut command = Command::new(binary);
        command.args(["--inference-image", "ttsfleet.dev/inference:none"]);
        command.args(["--gateway-image", "ttsfleet.dev/gateway:none"]);
        command.args(["--judge-image", "ttsfleet.dev/judge:none", "--no-leader-election"]);
        command.args(["--listen", "127.0.0.1:0"]).env("KUBECONFIG", server.kubeconfig());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // SIGKILL; it may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What fleets are made of, by kind and name, without what differs each time.
fn children(server: &ControlPlane) -> BTreeMap<String, Value> {
    let line = ["get", CHILDREN, "-l", "app.kubernetes.io/managed-by=ttsfleet-operator", "-o", "json"];
    let mut text = server.kubectl(&line).unwrap();
    for own in of_this_fleet(&serde_json::from_str(&text).unwrap()) {
        text = text.replace(&own, "its own");
    }
    let list: Value = serde_json::from_str(&text).unwrap();
    let mut named = BTreeMap::new();
    for object in list["items"].as_array().unwrap() {
        let kind = object["kind"].as_str().unwrap();
        let mut content = object.clone();
        for path in ["/metadata", "/status", "/spec/clusterIP", "/spec/clusterIPs"] {
            if let Some(value) = content.pointer_mut(path) {
                *value = Value::Null;
            }
        }
        // Pods have random names: they are counted.
        let name =
            if kind == "Pod" { named.len().to_string() } else { object["metadata"]["name"].to_string() };
        let content = if kind == "Pod" { Value::Null } else { content };
        named.insert(format!("{kind} {name}"), content);
    }
    named
}

/// The hash of the fleet's admin token, which comes from its uid, and what
/// follows from it.
fn of_this_fleet(list: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for object in list["items"].as_array().unwrap() {
        let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let variables = containers.into_iter().flatten().filter_map(|container| container["env"].as_array());
        let hashes = variables.flatten().filter(|variable| variable["name"] == "TTSFLEET_ADMIN_TOKEN_SHA256");
        found.extend(hashes.map(|variable| variable["value"].clone()));
        let labels =
            ["/spec/template/metadata/labels/ttsfleet.dev~1template", "/metadata/labels/pod-template-hash"];
        found.extend(labels.iter().filter_map(|label| object.pointer(label).cloned()));
    }
    found.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

#[test]
fn an_operator_killed_at_ten_moments_while_it_creates_a_fleet_ends_in_the_same_state() {
    let binary = operator_binary(&Console::default()).unwrap();
    let server = ControlPlane::start(Options { controllers: true }, &Console::default()).unwrap();
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/generated");
    server.kubectl(&["apply", "--server-side", "-f", crds]).unwrap();
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).unwrap();
    let complete = |children: &BTreeMap<String, Value>| {
        children.keys().filter(|name| name.starts_with("Pod ")).count() == 4 && children.len() == COMPLETE
    };

    let mut operator = Operator::start(&binary, &server);
    server.apply(FLEET).unwrap();
    eventually("the fleet is complete", Duration::from_secs(30), || complete(&children(&server)));
    let clean = children(&server);

    let mut already_there = Vec::new();
    for round in 0..10_u64 {
        server.kubectl(&["delete", "ttsd", "phoenix", "--timeout=30s"]).unwrap();
        // The garbage collector looks for new kinds every 30 s.
        eventually("the last fleet is gone", Duration::from_secs(90), || children(&server).is_empty());
        server.apply(FLEET).unwrap();
        // Before the first write, between two, after the last.
        std::thread::sleep(Duration::from_millis(round * 8));
        drop(operator);
        already_there.push(children(&server).len());
        operator = Operator::start(&binary, &server);
        eventually("the fleet is complete", Duration::from_secs(30), || complete(&children(&server)));
        assert_eq!(children(&server), clean, "round {round}");
    }
    println!("objects there when the operator was killed: {already_there:?}");
}

#[test]
fn an_api_server_that_restarts_is_survived_without_help() {
    let space = Namespace::fresh("restarted");
    let spec = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, \
                pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}}]}";
    space.fleet("phoenix", spec);
    space.wait_ready("phoenix");
    cluster().restart_api_server().unwrap();
    space.kubectl(&["delete", "service", "phoenix"]).unwrap();
    eventually("the operator puts drift right again", Duration::from_secs(60), || {
        !space.get(&["service", "phoenix"]).is_null()
    });
    space.fleet("second", spec);
    space.wait_ready("second");
}
