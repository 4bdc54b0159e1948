//! Exclusive GPUs: one pod a card, and words for the fleet that gets none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::Namespace;
use ttsfleet_e2e::waiting::eventually;

const ONE_GPU: &str = "{replicas: 1, gateway: {replicas: 1, resources: {cpu: 100m}}, \
     pools: [{name: main, resources: {memory: 512Mi, cpu: 300m, gpu: {mode: Exclusive}}}]}";

#[test]
fn fleets_with_exclusive_gpus_run_on_different_nodes_and_one_too_many_says_why_it_waits() {
    let space = Namespace::fresh("gpus");
    space.fleet("first", ONE_GPU);
    space.fleet("second", ONE_GPU);
    space.wait_ready("first");
    space.wait_ready("second");
    let pods = space.get(&["pods", "-l", "app.kubernetes.io/component=inference"]);
    let nodes: BTreeSet<_> =
        pods["items"].as_array().unwrap().iter().map(|pod| pod["spec"]["nodeName"].to_string()).collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");

    space.fleet("third", ONE_GPU);
    eventually("the third fleet says why it waits", Duration::from_secs(30), || {
        let ready = space.condition("third", "Ready");
        ready["status"] == "False"
            && ready["message"].as_str().is_some_and(|text| text.contains("nvidia.com/gpu"))
    });
    let ready = space.condition("third", "Ready");
    println!("the third fleet: {}: {}", ready["reason"], ready["message"]);
    let phase = &space.get(&["pods", "-l", "app.kubernetes.io/instance=third,ttsfleet.dev/pool=main"])["items"]
        [0]["status"]["phase"];
    assert_eq!(phase, "Pending");

    space.kubectl(&["delete", "ttsd", "first"]).unwrap();
    space.wait_ready("third");
}
