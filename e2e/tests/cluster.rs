//! The local cluster is a real one: nodes, network, limits, GPUs, and it comes
//! and goes without a trace.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bare::{Namespace, cluster};
use serde_json::{Value, json};
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::progress::Silent;
use ttsfleet_e2e::waiting::wait_for;

const MINUTE: Duration = Duration::from_secs(60);

/// A pod of the test program that runs once.
fn pod(name: &str, arguments: &[&str], limits: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main",
                "image": bare::testbox(),
                "args": arguments,
                "resources": {"limits": limits},
            }],
        },
    })
}

fn on_node(mut pod: Value, node: &str) -> Value {
    pod["spec"]["nodeName"] = json!(node);
    pod
}

fn terminated(namespace: &Namespace, pod: &str) -> Option<Value> {
    let pod = namespace.get("pod", pod);
    let state = pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    state.is_object().then_some(state)
}

#[test]
fn two_nodes_are_ready_with_one_gpu_each_and_report_their_metrics() {
    let nodes: Value =
        serde_json::from_str(&cluster().kubectl(&["get", "nodes", "-o", "json"]).unwrap()).unwrap();
    let nodes = nodes["items"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    for (node, address) in nodes.iter().zip(cluster().node_ips()) {
        assert_eq!(node["status"]["allocatable"]["nvidia.com/gpu"], "1");
        assert_eq!(node["metadata"]["labels"]["nvidia.com/gpu.present"], "true");
        assert_eq!(node["metadata"]["labels"]["nvidia.com/gpu.sharing-strategy"], "none");
        assert_eq!(node["status"]["addresses"][0]["address"], address.to_string());
        let name = node["metadata"]["name"].as_str().unwrap();
        for (path, expected) in [
            ("metrics", "kubelet_running_pods"),
            ("metrics/resource", "node_memory_working_set_bytes"),
            ("stats/summary", "workingSetBytes"),
            ("configz", "cgroupRoot"),
        ] {
            let answer =
                cluster().kubectl(&["get", "--raw", &format!("/api/v1/nodes/{name}/proxy/{path}")]).unwrap();
            assert!(answer.contains(expected), "{name} {path}");
        }
    }
}

#[test]
fn a_service_is_found_by_name_and_reached_across_nodes_and_from_the_machine() {
    let namespace = Namespace::new("network");
    namespace.apply(&on_node(pod("hello", &["serve", ":8080"], json!({"memory": "64Mi"})), "node-1"));
    namespace.apply(&json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello"},
        "spec": {"type": "NodePort", "selector": {"app": "hello"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }));
    namespace.kubectl(&["wait", "--for=condition=Ready", "pod/hello", "--timeout=60s"]);

    let service = namespace.get("service", "hello");
    let hello = namespace.get("pod", "hello");
    let node_port = u16::try_from(service["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    let addresses = [
        (service["spec"]["clusterIP"].as_str().unwrap().to_owned(), 80),
        (hello["status"]["podIP"].as_str().unwrap().to_owned(), 8080),
        (cluster().node_ips()[0].to_string(), node_port),
        (cluster().node_ips()[1].to_string(), node_port),
    ];
    for (host, port) in addresses {
        let answer = wait_for("an answer", MINUTE, || http_get(&host, port));
        assert!(answer.contains("hello from hello"), "{host}:{port} said {answer}");
    }

    // Answers on both node ports: both nodes know the service, and one request is enough.
    for node in ["node-1", "node-2"] {
        let name = format!("client-{node}");
        let url = format!("http://hello.{}.svc.cluster.local/", namespace.name);
        namespace.apply(&on_node(pod(&name, &["get", &url], json!({"memory": "64Mi"})), node));
    }
    for node in ["node-1", "node-2"] {
        let name = format!("client-{node}");
        wait_for("the client's end", MINUTE, || terminated(&namespace, &name));
        assert_eq!(namespace.kubectl(&["logs", &name]), "200 OK\n", "from {node}");
    }
}

fn http_get(host: &str, port: u16) -> Option<String> {
    let mut stream =
        TcpStream::connect_timeout(&format!("{host}:{port}").parse().unwrap(), Duration::from_secs(2))
            .ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_pod_over_its_memory_limit_is_killed_and_the_status_says_why() {
    let namespace = Namespace::new("memory");
    namespace.apply(&pod("greedy", &["eat", "300"], json!({"memory": "64Mi", "cpu": "100m"})));
    let end = wait_for("the pod's end", MINUTE, || terminated(&namespace, "greedy"));
    assert_eq!(end["reason"], "OOMKilled", "{end}");
    assert_eq!(end["exitCode"], 137);
    assert_eq!(namespace.get("pod", "greedy")["status"]["qosClass"], "Guaranteed");
}

#[test]
fn a_pod_over_its_ephemeral_storage_limit_is_evicted() {
    let namespace = Namespace::new("storage");
    let mut writer =
        pod("writer", &["write", "/tmp/full"], json!({"memory": "256Mi", "ephemeral-storage": "20Mi"}));
    writer["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    namespace.apply(&writer);
    let status = wait_for("the eviction", 2 * MINUTE, || {
        let status = namespace.get("pod", "writer")["status"].clone();
        (status["phase"] == "Failed").then_some(status)
    });
    assert_eq!(status["reason"], "Evicted", "{status}");
    assert!(status["message"].as_str().unwrap().contains("ephemeral"), "{status}");
}

#[test]
fn two_pods_get_a_gpu_each_and_a_third_waits() {
    let namespace = Namespace::new("gpus");
    let names = ["first", "second", "third"];
    for name in names {
        namespace.apply(&pod(name, &["serve", ":8080"], json!({"memory": "64Mi", "nvidia.com/gpu": "1"})));
    }
    let phase = |name: &str| namespace.get("pod", name)["status"]["phase"].as_str().unwrap_or("").to_owned();
    wait_for("two running pods", MINUTE, || {
        (names.iter().filter(|name| phase(name) == "Running").count() == 2).then_some(())
    });
    let waiting = names.into_iter().find(|name| phase(name) == "Pending").expect("one pod waits");
    let why = wait_for("the scheduler's word", MINUTE, || {
        let pod = namespace.get("pod", waiting);
        pod["status"]["conditions"][0]["message"].as_str().map(str::to_owned)
    });
    assert!(why.contains("Insufficient nvidia.com/gpu"), "{why}");
    let nodes: Vec<Value> = names
        .into_iter()
        .filter(|name| *name != waiting)
        .map(|name| namespace.get("pod", name)["spec"]["nodeName"].clone())
        .collect();
    assert_ne!(nodes[0], nodes[1]);
}

#[test]
fn a_second_cluster_survives_a_power_cut_and_leaves_no_trace() {
    const NAME: &str = "beside";
    cluster();
    Cluster::down(NAME, &Silent).unwrap();
    let before = traces();

    let second = Cluster::up(NAME, &Silent).unwrap();
    assert_ne!(second.node_ips(), cluster().node_ips());
    let image = second.load_testbox().unwrap();
    let kept = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "kept"}},
            "template": {
                "metadata": {"labels": {"app": "kept"}},
                "spec": {"containers": [{"name": "main", "image": image, "args": ["serve", ":8080"]}]},
            },
        },
    });
    second.apply(&kept.to_string()).unwrap();
    second.kubectl(&["rollout", "status", "deployment/kept", "--timeout=60s"]).unwrap();

    second.kill_everything().unwrap();
    assert!(Cluster::find(NAME).unwrap().is_none(), "a killed cluster passes for healthy");
    let second = Cluster::up(NAME, &Silent).unwrap();
    let restarts = wait_for("the pods' second life", 2 * MINUTE, || {
        let pods = second.kubectl(&["get", "pods", "-l", "app=kept", "-o", "json"]).ok()?;
        let pods: Value = serde_json::from_str(&pods).unwrap();
        let statuses: Vec<_> =
            pods["items"].as_array()?.iter().map(|pod| &pod["status"]["containerStatuses"][0]).collect();
        let back = |status: &&Value| status["ready"] == true && status["restartCount"].as_u64() > Some(0);
        (statuses.len() == 2 && statuses.iter().all(back)).then_some(statuses.len())
    });
    assert_eq!(restarts, 2);

    assert!(Cluster::down(NAME, &Silent).unwrap());
    let after = traces();
    let left: Vec<_> = after.iter().filter(|trace| !before.contains(trace)).collect();
    let lost: Vec<_> = before.iter().filter(|trace| !after.contains(trace)).collect();
    assert!(left.is_empty() && lost.is_empty(), "left behind: {left:#?}, taken along: {lost:#?}");
    assert!(Cluster::find("test").unwrap().is_some(), "the other cluster was harmed");
}

/// Everything on the machine that a cluster could leave behind.
fn traces() -> Vec<String> {
    let clusters = ttsfleet_e2e::tools::cache_dir().unwrap().join("clusters").display().to_string();
    let mut found = Vec::new();
    for line in [
        &["ip", "-o", "link"][..],
        &["ip", "-o", "route", "show", "table", "all"],
        &["ip", "netns", "list"],
        &["losetup", "-n", "-O", "NAME,BACK-FILE"],
        &["nft", "list", "ruleset"],
        &["cat", "/proc/self/mounts"],
        &["sh", "-c", "find /sys/fs/cgroup -type d -path '*ttsfleet*-beside*'"],
        &["sh", "-c", "ls -d /var/lib/kubelet /var/lib/cni /var/log/pods /run/containerd /run/netns"],
        &["ls", &clusters],
    ] {
        let output = Command::new(line[0]).args(&line[1..]).output().unwrap();
        found.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(|found| format!("{}: {found}", line.join(" "))),
        );
    }
    found
}

#[test]
fn an_api_server_alone_starts_beside_others_keeps_its_objects_and_ends_with_its_owner() {
    let mut first = ControlPlane::start(Options::default(), &Silent).unwrap();
    let second = ControlPlane::start(Options { controllers: true }, &Silent).unwrap();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}});
    first.apply(&object.to_string()).unwrap();
    assert!(second.kubectl(&["get", "configmap", "kept"]).is_err());
    first.restart_api_server().unwrap();
    first.kubectl(&["get", "configmap", "kept"]).unwrap();

    wait_for("the controllers' work", MINUTE, || second.kubectl(&["get", "serviceaccount", "default"]).ok());
    let pids: Vec<u32> =
        ["etcd", "kube-apiserver"].iter().map(|program| first.pid(program).unwrap()).collect();
    let folder = first.kubeconfig();
    drop(first);
    assert!(pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    assert!(!folder.exists());
    second.kubectl(&["get", "--raw", "/readyz"]).unwrap();
}
