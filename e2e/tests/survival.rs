//! The operator and the API server may die at any moment.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use support::{Namespace, cluster, eventually, processes_in_pods};

const SPEC: &str = "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}}]}";
const CHILDREN: &str = "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies";

/// Specs of a fleet's children by kind and name, without what the API server
/// and other controllers fill in differently each time.
fn children(space: &Namespace) -> BTreeMap<String, Value> {
    let list = space.get(&[CHILDREN, "-l", "app.kubernetes.io/managed-by=ttsfleet-operator"]);
    let named = list["items"].as_array().unwrap().iter().map(|object| {
        let mut content = object.clone();
        for path in ["/metadata", "/status", "/spec/clusterIP", "/spec/clusterIPs"] {
            if let Some(value) = content.pointer_mut(path) {
                *value = Value::Null;
            }
        }
        (format!("{} {}", object["kind"], object["metadata"]["name"]), content)
    });
    named.collect()
}

fn settled(space: &Namespace, expected: usize) -> BTreeMap<String, Value> {
    space.wait_ready("phoenix");
    eventually("all children exist", Duration::from_secs(60), || children(space).len() == expected);
    children(space)
}

#[test]
fn an_operator_killed_while_it_creates_a_fleet_ends_in_the_same_state() {
    let space = Namespace::fresh("killed");
    space.fleet("phoenix", SPEC);
    space.wait_ready("phoenix");
    let clean = children(&space);
    assert!(clean.len() >= 6, "{:?}", clean.keys());

    for round in 0..10_u64 {
        space.kubectl(&["delete", "ttsd", "phoenix", "--timeout=60s"]).unwrap();
        eventually("the last fleet is gone", Duration::from_secs(60), || children(&space).is_empty());
        space.fleet("phoenix", SPEC);
        // A different moment each round: before the first write, between two, after the last.
        std::thread::sleep(Duration::from_millis(round * 25));
        let victims = processes_in_pods("ttsfleet-operator");
        assert!(!victims.is_empty());
        for pid in victims {
            kill(pid);
        }
        assert_eq!(settled(&space, clean.len()), clean, "round {round}");
        let pods = space.get(&["pods", "--field-selector=status.phase=Running"]);
        assert_eq!(pods["items"].as_array().unwrap().len(), 1, "nothing is doubled");
    }
}

#[test]
fn an_api_server_that_restarts_is_survived_without_help() {
    let space = Namespace::fresh("restarted");
    space.fleet("phoenix", SPEC);
    space.wait_ready("phoenix");
    cluster().restart_api_server().unwrap();
    space.kubectl(&["delete", "service", "phoenix"]).unwrap();
    eventually("the operator puts drift right again", Duration::from_secs(90), || {
        !space.get(&["service", "phoenix"]).is_null()
    });
    space.fleet("second", SPEC);
    space.wait_ready("second");
}

fn kill(pid: i32) {
    // It may have ended by itself.
    let _ = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
}
