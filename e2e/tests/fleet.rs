//! What a fleet promises on a real cluster.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Namespace, cluster, images};
use ttsfleet_e2e::product::speak;
use ttsfleet_e2e::target::Target;
use ttsfleet_e2e::waiting::eventually;

const SMALL: &str = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, \
                      pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}}]}";

fn containers(pod: &Value) -> Vec<Value> {
    let of = |kind: &str| pod["spec"][kind].as_array().cloned().unwrap_or_default();
    [of("initContainers"), of("containers")].concat()
}

#[test]
fn pods_are_guaranteed_with_equal_memory_and_a_fleet_deleted_leaves_nothing() {
    let space = Namespace::fresh("guaranteed");
    space.fleet("plain", SMALL);
    space.wait_ready("plain");

    for (component, count, memory) in [("inference", 1, "512Mi"), ("gateway", 1, "128Mi")] {
        let pods = space.get(&["pods", "-l", &format!("app.kubernetes.io/component={component}")]);
        let pods = pods["items"].as_array().unwrap();
        assert_eq!(pods.len(), count, "{component}");
        for pod in pods {
            assert_eq!(pod["status"]["qosClass"], "Guaranteed");
            assert!(!containers(pod).is_empty());
            for container in containers(pod) {
                let resources = &container["resources"];
                assert_eq!(resources["requests"], resources["limits"], "{}", container["name"]);
                assert_eq!(resources["limits"]["memory"], memory);
            }
        }
    }

    space.kubectl(&["delete", "ttsd", "plain", "--timeout=60s"]).unwrap();
    let kinds = "deployments,replicasets,pods,services,endpointslices,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,roles,rolebindings";
    eventually("nothing is left of the fleet", Duration::from_secs(90), || {
        let left = space.get(&[kinds]);
        let names = left["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| object["metadata"]["name"].as_str().unwrap());
        names.filter(|name| !["kube-root-ca.crt", "default"].contains(name)).count() == 0
    });
}

#[test]
fn a_hand_made_pod_with_unequal_memory_is_refused() {
    let space = Namespace::fresh("unequal");
    let pod = |request: &str, limit: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "made-by-hand", "namespace": space.name,
                "labels": {"app.kubernetes.io/name": "ttsfleet"},
            },
            "spec": {
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "server", "image": images().inference.reference,
                    "resources": {"requests": {"memory": request}, "limits": {"memory": limit}},
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                }],
            },
        })
        .to_string()
    };
    let refusal = cluster().apply(&pod("128Mi", "256Mi")).unwrap_err().to_string();
    assert!(refusal.contains("to the same value"), "{refusal}");
    assert!(refusal.contains("server"), "{refusal}");
    // The same amount in other words is equal.
    cluster().apply(&pod("0.25Gi", "256Mi")).unwrap();
}

#[test]
fn a_child_edited_scaled_or_deleted_comes_back() {
    let space = Namespace::fresh("drift");
    space.fleet("steady", SMALL);
    space.wait_ready("steady");
    let memory = || {
        let deployment = space.get(&["deployment", "steady-main"]);
        deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].clone()
    };
    let soon = Duration::from_secs(5);

    let edit = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/memory", "value": "1Gi"}]"#;
    space.kubectl(&["patch", "deployment", "steady-main", "--type=json", "-p", edit]).unwrap();
    let edited = eventually("the edited limit comes back", soon, || memory() == "512Mi");

    space.kubectl(&["scale", "deployment", "steady-main", "--replicas=3"]).unwrap();
    let scaled = eventually("the replicas come back", soon, || {
        space.get(&["deployment", "steady-main"])["spec"]["replicas"] == 1
    });

    let uid = space.get(&["service", "steady"])["metadata"]["uid"].clone();
    space.kubectl(&["delete", "service", "steady"]).unwrap();
    let deleted = eventually("the deleted Service comes back", soon, || {
        let service = space.get(&["service", "steady"]);
        !service.is_null() && service["metadata"]["uid"] != uid
    });
    println!("put right: edited after {edited:?}, scaled after {scaled:?}, deleted after {deleted:?}");
}

#[test]
fn scaling_the_fleet_scales_its_pods() {
    let space = Namespace::fresh("scale");
    space.fleet("grows", SMALL);
    space.wait_ready("grows");
    space.kubectl(&["scale", "ttsd", "grows", "--replicas=2"]).unwrap();
    eventually("both pods are counted", Duration::from_secs(60), || {
        let fleet = space.get(&["ttsd", "grows"]);
        fleet["status"]["replicas"] == 2 && space.condition("grows", "Ready")["status"] == "True"
    });
}

#[test]
fn a_pod_that_exceeds_its_memory_is_killed_and_the_status_says_so() {
    let space = Namespace::fresh("oom");
    // Enough for the voice to load, too little to speak long texts at a time.
    let spec = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, limits: {maxInputChars: 4096}, \
                pools: [{name: main, resources: {memory: 64Mi, cpu: \"1\"}}]}";
    space.fleet("tight", spec);
    space.wait_ready("tight");
    let route = cluster().reach(&space.name, "tight").unwrap();
    let text = "The bucket is filled again and again until it runs over. ".repeat(70);
    eventually("the fleet's status names the out-of-memory kill", Duration::from_secs(120), || {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                // Cut off when the pod is killed.
                scope.spawn(|| speak(&route.url, &text).is_ok());
            }
        });
        space.condition("tight", "Degraded")["reason"] == "OutOfMemory"
    });
    let message = space.condition("tight", "Degraded")["message"].as_str().unwrap().to_owned();
    println!("the fleet says: {message}");
    assert!(message.contains("64Mi") && message.contains("memory"), "{message}");

    let pods = space.get(&["pods", "-l", "app.kubernetes.io/component=inference"]);
    let status = &pods["items"][0]["status"]["containerStatuses"][0];
    let ends = [&status["state"]["terminated"]["reason"], &status["lastState"]["terminated"]["reason"]];
    assert!(ends.contains(&&json!("OOMKilled")), "{status}");
}
