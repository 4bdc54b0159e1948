//! ttsfleet's gateway, with a real API server that tells it the route and the pods.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use ttsfleet_e2e::control_plane::ControlPlane;

use crate::backend::{PODS, PORTS};
use crate::process::{Proxy, spawn};

/// The namespace that all of it is in.
const NAMESPACE: &str = "default";
/// The Service of the pods.
const SERVICE: &str = "bench-main";

/// A fleet's route under that name, with these mirrors.
pub(crate) fn route(name: &str, mirrors: &[Value]) -> Value {
    let route = json!({
        "fleet": "bench",
        "pools": [{"name": "main", "service": SERVICE}],
        "tiers": [{"name": "standard", "pools": ["main"]}],
        "defaultTier": "standard",
        "tierFrom": {"kind": "nothing"},
        "limits": {"maxInputChars": 600, "onOverflow": "Truncate"},
        "timeouts": {"attemptMs": 3000, "totalMs": 9000, "idleMs": 3000},
        "retries": {"attempts": 3, "initialBackoffMs": 500, "maxBackoffMs": 2000, "budgetPercent": 20},
        "breaker": {"thresholdMs": 1500, "ratioPercent": 50, "recoveryMs": 5000},
        "onExhausted": "Error",
        "mirrors": mirrors,
    });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"route.json": route.to_string()},
    })
}

/// The pods of the pool that callers are served by.
pub(crate) fn pods() -> Value {
    slice(SERVICE, &PODS, PORTS[0])
}

/// A Service's pods.
pub(crate) fn slice(service: &str, pods: &[Ipv4Addr], port: u16) -> Value {
    let endpoint = |pod| json!({"addresses": [pod], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": service, "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": service, "bench": "yes"},
        },
        "addressType": "IPv4", "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "http", "port": port}],
    })
}

/// Tells the API server these objects.
pub(crate) fn apply(server: &ControlPlane, objects: &[Value]) -> Result<()> {
    server.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).map(drop)
}

/// A gateway with the route of that name, on two ports of the loopback address:
/// for speech, and for health and metrics.
pub(crate) fn start(
    name: &'static str,
    binary: &Path,
    server: &ControlPlane,
    route: &str,
    [speech, health]: [u16; 2],
) -> Result<Proxy> {
    let mut line = Command::new(binary);
    line.args([
        "--listen",
        &format!("127.0.0.1:{speech}"),
        "--health-listen",
        &format!("127.0.0.1:{health}"),
    ]);
    line.args(["--namespace", NAMESPACE, "--route", route, "--endpoints", "bench=yes"]);
    line.args(["--max-concurrency", "4096"]);
    // The second as in a fleet's pods.
    line.env("KUBECONFIG", server.kubeconfig()).env("MALLOC_ARENA_MAX", "2");
    spawn(name, speech, &line)
}
