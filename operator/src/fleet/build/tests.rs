use kube::api::ObjectMeta;
use serde_json::{Value, json};
use ttsfleet_crds::{Gpu, GpuMode, Model, Source, TtsDeployment, TtsDeploymentSpec};

use super::*;
use crate::fleet::validate::validate;

fn object(change: impl FnOnce(&mut TtsDeploymentSpec)) -> TtsDeployment {
    let mut spec = TtsDeploymentSpec::default();
    change(&mut spec);
    TtsDeployment {
        metadata: ObjectMeta {
            name: Some("narrator".to_owned()),
            namespace: Some("studio".to_owned()),
            uid: Some("0b0e".to_owned()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    }
}

fn children(change: impl FnOnce(&mut TtsDeploymentSpec)) -> Children {
    let settings =
        Settings { image: "registry.example/speech:1".to_owned(), pull_policy: PullPolicy::IfNotPresent };
    let fleet = validate(&object(change)).expect("a valid spec");
    build(&fleet, &settings).expect("children")
}

fn pod_spec(change: impl FnOnce(&mut TtsDeploymentSpec)) -> Value {
    let deployment = serde_json::to_value(children(change).deployment).expect("JSON");
    deployment["spec"]["template"]["spec"].clone()
}

fn with_gpu(gpu: Gpu) -> impl FnOnce(&mut TtsDeploymentSpec) {
    move |spec| spec.pools[0].resources.gpu = gpu
}

fn with_source(uri: &str) -> impl FnOnce(&mut TtsDeploymentSpec) {
    let source = Source { uri: uri.to_owned(), digest: Some(format!("sha256:{}", "0".repeat(64))) };
    move |spec| {
        spec.pools[0].model = Some(Model { name: "hibari".to_owned(), version: "1".to_owned(), source })
    }
}

#[test]
fn the_default_fleet_is_as_reviewed() {
    let Children { service_account, network_policy, model, service, disruption_budget, deployment } =
        children(|_| {});
    insta::assert_yaml_snapshot!("service_account", service_account);
    insta::assert_yaml_snapshot!("network_policy", network_policy);
    insta::assert_yaml_snapshot!("model", model);
    insta::assert_yaml_snapshot!("service", service);
    insta::assert_yaml_snapshot!("disruption_budget", disruption_budget);
    insta::assert_yaml_snapshot!("deployment", deployment);
}

#[test]
fn requests_equal_limits_in_every_mode() {
    for gpu in [
        Gpu::default(),
        Gpu { mode: GpuMode::Exclusive, count: Some(2), ..Gpu::default() },
        Gpu { mode: GpuMode::Mps, memory_limit: Some("6Gi".into()), ..Gpu::default() },
    ] {
        let spec = pod_spec(with_gpu(gpu));
        for container in spec["containers"].as_array().expect("containers") {
            assert_eq!(container["resources"]["requests"], container["resources"]["limits"]);
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
}

#[test]
fn an_exclusive_gpu_is_on_a_node_that_shares_none_and_never_needs_a_spare() {
    let children = children(with_gpu(Gpu { mode: GpuMode::Exclusive, ..Gpu::default() }));
    let deployment = serde_json::to_value(children.deployment).expect("JSON");
    let strategy = &deployment["spec"]["strategy"]["rollingUpdate"];
    assert_eq!(strategy, &json!({"maxSurge": 0, "maxUnavailable": 1}));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], "1");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    assert_eq!(
        pod["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"][0]["matchExpressions"],
        json!([
            {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]},
            {"key": "nvidia.com/gpu.sharing-strategy", "operator": "NotIn", "values": ["mps", "time-slicing"]},
            {"key": "nvidia.com/mps.capable", "operator": "NotIn", "values": ["true"]},
        ])
    );
}

#[test]
fn a_shared_gpu_is_bounded_in_memory_and_threads() {
    let gpu = Gpu {
        mode: GpuMode::Mps,
        memory_limit: Some("6Gi".into()),
        active_thread_percent: Some(40),
        ..Gpu::default()
    };
    let env = pod_spec(with_gpu(gpu))["containers"][0]["env"].clone();
    let value = |name| {
        let mut variables = env.as_array().into_iter().flatten();
        variables.find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    assert_eq!(value("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"), Some(json!("0=6144M")));
    assert_eq!(value("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), Some(json!("40")));
}

#[test]
fn the_grace_period_covers_endpoint_removal_and_drain() {
    for (drain, seconds) in [("1s", 1), ("30s", 30), ("1h", 3600)] {
        let spec = pod_spec(|spec| spec.drain_timeout = drain.to_owned());
        let before =
            spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().expect("a pause");
        let grace = spec["terminationGracePeriodSeconds"].as_i64().expect("a grace period");
        assert!(before > 0 && grace > before + seconds, "{drain}");
    }
}

#[test]
fn the_store_leaves_room_below_the_disk_limit() {
    let spec = pod_spec(|spec| spec.pools[0].resources.ephemeral_storage = "2Gi".into());
    assert_eq!(spec["volumes"][1]["emptyDir"]["sizeLimit"], "1984Mi");
    assert_eq!(spec["containers"][0]["resources"]["limits"]["ephemeral-storage"], "2Gi");
}

#[test]
fn the_network_is_open_only_for_a_model_that_is_fetched() {
    let ports = |children: Children| {
        let policy = serde_json::to_value(children.network_policy).expect("JSON");
        let rules = policy["spec"]["egress"].as_array().cloned().unwrap_or_default();
        let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
        ports.map(|port| port["port"].as_i64().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(ports(children(|_| {})), [53, 53]);
    assert_eq!(ports(children(with_source("file:///models/hibari"))), [53, 53]);
    assert_eq!(ports(children(with_source("https://models.example:8443/hibari"))), [53, 53, 8443]);
}

#[test]
fn only_a_change_of_model_changes_the_hash_in_the_template() {
    let hash = |children: Children| {
        let metadata = children.deployment.spec.expect("spec").template.metadata.expect("metadata");
        metadata.annotations.expect("annotations")["ttsfleet.dev/model-hash"].clone()
    };
    let plain = hash(children(|_| {}));
    assert_eq!(plain, hash(children(|spec| spec.replicas = 7)));
    assert_ne!(plain, hash(children(with_source("file:///models/hibari"))));
}

#[test]
fn the_model_record_is_what_the_server_reads() {
    let config = children(with_source("https://models.example/hibari")).model;
    let text = &config.data.expect("data")[ttsfleet_wire::model::MODEL_KEY];
    let record: ttsfleet_wire::model::ModelRecord = serde_json::from_str(text).expect("a record");
    assert_eq!((record.name.as_str(), record.version.as_str()), ("hibari", "1"));
    assert_eq!(record.source.expect("a source").uri, "https://models.example/hibari");
}

#[test]
fn scheduling_is_passed_on() {
    let spec = pod_spec(|spec| {
        let scheduling = &mut spec.pools[0].scheduling;
        scheduling.node_selector = [("disk".to_owned(), "fast".to_owned())].into();
        scheduling.priority_class_name = Some("speech".to_owned());
        scheduling.topology_spread = false;
    });
    assert_eq!(spec["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(spec["priorityClassName"], "speech");
    assert_eq!(spec["topologySpreadConstraints"], Value::Null);
}
