mod incident;
mod trial;

use std::collections::BTreeSet;

use kube::api::ObjectMeta;
use serde_json::{Value, json};
use ttsfleet_crds::{
    Expose, Gpu, GpuMode, HttpRoute, Ingress, LogFormat, Model, OnUnspeakable, ParentRef, Pool, SecretRef,
    Source, Tier, TierFrom, Traces, TtsDeployment, TtsDeploymentSpec,
};
use ttsfleet_wire::judge::Session;
use ttsfleet_wire::model::{ModelRecord, ModelSource};
use ttsfleet_wire::route::{ROUTE_KEY, RouteTable};

use super::*;
use crate::fleet::validate::validate;
use crate::rollout::{Comparison, PoolRecord, Wants};

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

fn settings() -> Settings {
    Settings {
        inference_image: "registry.example/speech:1".to_owned(),
        gateway_image: "registry.example/gateway:1".to_owned(),
        judge_image: "registry.example/judge:1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        pull_secrets: vec![],
        assigns_users: false,
        namespace: "ttsfleet-system".to_owned(),
        key: AdminKey::new(&[7; 32]),
    }
}

/// All objects of a fleet whose pools serve what the spec says, after a change
/// of what is planned for them.
fn planned(change: impl FnOnce(&mut TtsDeploymentSpec), plan: impl Fn(&mut PoolPlan)) -> Wanted {
    let fleet = validate(&object(change)).expect("a valid spec");
    let plans = fleet.pools.iter().map(|pool| {
        let mut of_pool = PoolPlan::at_rest(PoolRecord::first(pool.model.clone()));
        plan(&mut of_pool);
        of_pool
    });
    build(&fleet, &settings(), &plans.collect::<Vec<_>>(), None).expect("children")
}

fn wanted(change: impl FnOnce(&mut TtsDeploymentSpec)) -> Wanted {
    planned(change, |_| {})
}

fn candidate(uri: &str, secret: Option<&str>) -> ModelRecord {
    let source = ModelSource { uri: uri.to_owned(), digest: None, secret: secret.map(str::to_owned) };
    ModelRecord { name: "hibari".to_owned(), version: "2".to_owned(), source: Some(source) }
}

/// A comparison is under way in every pool.
fn comparing(plan: &mut PoolPlan) {
    plan.wants = Wants {
        shadow: Some(candidate("https://models.example/hibari/2", None)),
        baseline: Some(plan.record.stable.clone()),
        trial: "1764000000000".to_owned(),
        judge: Some(Comparison {
            id: "1764000000000".to_owned(),
            baseline_digest: Some("sha256:01".to_owned()),
            candidate_digest: None,
        }),
        mirror: true,
    };
}

/// One of the objects, as JSON.
fn child(wanted: &Wanted, kind: &str, name: &str) -> Value {
    let found = wanted.all().find(|child| child.identity() == (kind, name.to_owned()));
    serde_json::to_value(found.expect("a child")).expect("JSON")
}

/// The template of a Deployment's pods.
fn template(name: &str, change: impl FnOnce(&mut TtsDeploymentSpec)) -> Value {
    child(&wanted(change), "Deployment", name)["spec"]["template"].clone()
}

fn pod_spec(change: impl FnOnce(&mut TtsDeploymentSpec)) -> Value {
    template("narrator-main", change)["spec"].clone()
}

fn variable(pod: &Value, name: &str) -> Option<Value> {
    let mut variables = pod["containers"][0]["env"].as_array().into_iter().flatten();
    variables.find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
}

fn two_pools(spec: &mut TtsDeploymentSpec) {
    spec.pools.push(Pool { replicas: Some(1), ..Pool::named("backup") });
}

fn with_gpu(gpu: Gpu) -> impl FnOnce(&mut TtsDeploymentSpec) {
    move |spec| spec.pools[0].resources.gpu = gpu
}

fn model(uri: &str) -> Option<Model> {
    let source =
        Source { uri: uri.to_owned(), digest: Some(format!("sha256:{}", "0".repeat(64))), secret_ref: None };
    Some(Model { name: "hibari".to_owned(), version: "1".to_owned(), source })
}

fn with_source(uri: &str) -> impl FnOnce(&mut TtsDeploymentSpec) {
    let model = model(uri);
    move |spec| spec.pools[0].model = model
}

#[test]
fn the_default_fleet_is_as_reviewed() {
    let Wanted { serving, trying, exposing } = wanted(|_| {});
    assert_eq!(trying, [], "nothing is tried");
    for child in serving {
        let (kind, name) = child.identity();
        insta::assert_yaml_snapshot!(format!("{kind}_{name}"), child);
    }
    assert_eq!(exposing, [], "nothing leads to a fleet unasked");
}

#[test]
fn objects_are_made_so_that_nothing_is_asked_for_before_it_can_serve() {
    let order: Vec<String> = wanted(two_pools)
        .serving
        .iter()
        .map(|child| {
            let (kind, name) = child.identity();
            format!("{kind} {name}")
        })
        .collect();
    insta::assert_yaml_snapshot!("two_pools", order);
}

#[test]
fn each_pool_has_its_own_number_model_and_pods() {
    let wanted = wanted(|spec| {
        two_pools(spec);
        spec.pools[1].model = model("file:///models/small");
        spec.pools[1].resources.memory = "2Gi".into();
    });
    let pods = |name| child(&wanted, "Deployment", name)["spec"].clone();
    let (main, backup) = (pods("narrator-main"), pods("narrator-backup"));
    assert_eq!((&main["replicas"], &backup["replicas"]), (&json!(2), &json!(1)));
    let memory =
        |pods: &Value| pods["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"].clone();
    assert_eq!((memory(&main), memory(&backup)), (json!("1Gi"), json!("2Gi")));
    let volume = &backup["template"]["spec"]["volumes"][0]["configMap"]["name"];
    assert_eq!(volume, "narrator-backup");
    let record = child(&wanted, "ConfigMap", "narrator-backup")["data"]["model.json"].to_string();
    assert!(record.contains("file:///models/small"), "{record}");
    let address = child(&wanted, "Service", "narrator-backup")["spec"].clone();
    assert_eq!((&address["clusterIP"], &address["ports"][0]["port"]), (&json!("None"), &json!(8080)));
}

#[test]
fn the_gateway_is_told_the_routes_in_its_config_map() {
    let wanted = wanted(|spec| {
        two_pools(spec);
        spec.routing.tiers = vec![Tier {
            name: "premium".to_owned(),
            pools: vec!["backup".to_owned()],
            weight: 1,
            on_exhausted: None,
            quota: None,
        }];
    });
    let text = child(&wanted, "ConfigMap", "narrator-gateway")["data"][ROUTE_KEY].clone();
    let table: RouteTable = serde_json::from_str(text.as_str().expect("text")).expect("a route table");
    insta::assert_json_snapshot!("route_table", table);
}

#[test]
fn no_change_of_the_routes_changes_the_gateways_pods() {
    let before = template("narrator-gateway", |_| {});
    let after = template("narrator-gateway", |spec| {
        two_pools(spec);
        spec.gateway.replicas = 5;
        spec.limits.max_input_chars = 100;
        spec.resilience.retries.attempts = 1;
        spec.resilience.breaker.queue.open_for = "1m".to_owned();
        spec.routing.tier_from.header = Some("x-tier".to_owned());
        spec.routing.tiers = vec![Tier {
            name: "premium".to_owned(),
            pools: vec!["backup".to_owned()],
            weight: 1,
            on_exhausted: None,
            quota: None,
        }];
    });
    assert_eq!(before, after);
}

#[test]
fn the_gateway_finds_pools_judges_and_its_like_by_the_labels_of_their_services_and_nothing_else() {
    let wanted = planned(two_pools, comparing);
    let pod = child(&wanted, "Deployment", "narrator-gateway")["spec"]["template"]["spec"].clone();
    assert_eq!(
        variable(&pod, "TTSFLEET_ENDPOINTS"),
        Some(json!(
            "app.kubernetes.io/name=ttsfleet,app.kubernetes.io/instance=narrator,\
             app.kubernetes.io/component in (inference,judge,gateway)"
        ))
    );
    let component = |service: &str| {
        child(&wanted, "Service", service)["metadata"]["labels"]["app.kubernetes.io/component"].clone()
    };
    assert_eq!(
        ["narrator-main", "narrator-backup", "narrator-main-shadow", "narrator-main-judge", "narrator"]
            .map(component),
        ["inference", "inference", "shadow", "judge", "gateway"]
    );
}

#[test]
fn api_keys_are_mounted_only_where_tiers_come_from_them() {
    let plain = template("narrator-gateway", |_| {})["spec"].clone();
    assert_eq!((&plain["volumes"], variable(&plain, "TTSFLEET_API_KEYS")), (&Value::Null, None));
    let keyed = template("narrator-gateway", |spec| {
        let secret = SecretRef { name: "keys".to_owned() };
        spec.routing.tier_from = TierFrom { api_key_secret_ref: Some(secret), header: None };
    });
    let pod = &keyed["spec"];
    assert_eq!(pod["volumes"][0]["secret"], json!({"secretName": "keys"}));
    let folder = variable(pod, "TTSFLEET_API_KEYS");
    assert_eq!(folder.as_ref(), Some(&pod["containers"][0]["volumeMounts"][0]["mountPath"]));
}

#[test]
fn gateways_may_ask_each_other_what_callers_have_had() {
    let policy = child(&wanted(|_| {}), "NetworkPolicy", "narrator-gateway");
    let to = |part: &str, port: u16| {
        policy["spec"]["egress"].as_array().unwrap().iter().any(|rule| {
            let text = rule.to_string();
            text.contains(&format!("[\"{part}\"]")) && text.contains(&format!("\"port\":{port}"))
        })
    };
    assert!(to("gateway", 8081) && !to("gateway", 8080), "{policy}");
}

#[test]
fn pods_and_gateway_are_told_the_fleets_settings() {
    let change = |spec: &mut TtsDeploymentSpec| {
        spec.observability.log_format = LogFormat::Json;
        spec.resilience.breaker.queue.open_for = "1m30s".to_owned();
        spec.pools[0].capacity.max_queue_depth = 7;
        spec.limits.on_unspeakable = OnUnspeakable::Refuse;
    };
    let pod = pod_spec(change);
    let value = |name| variable(&pod, name).unwrap_or_default();
    assert_eq!(
        (value("TTSFLEET_MAX_QUEUE_DEPTH"), value("TTSFLEET_BUSY_SECONDS"), value("TTSFLEET_LOG_FORMAT")),
        (json!("7"), json!("90"), json!("json"))
    );
    assert_eq!(value("TTSFLEET_ON_UNSPEAKABLE"), json!("refuse"));
    let gateway = template("narrator-gateway", change)["spec"].clone();
    assert_eq!(variable(&gateway, "TTSFLEET_LOG_FORMAT"), Some(json!("json")));
}

#[test]
fn pods_are_told_of_marking_what_differs_from_their_own_default() {
    let told = |change: fn(&mut TtsDeploymentSpec)| {
        let pod = pod_spec(change);
        (variable(&pod, "TTSFLEET_MARKING"), variable(&pod, "TTSFLEET_PRODUCER"))
    };
    assert_eq!(told(|_| {}), (None, None));
    assert_eq!(told(|spec| spec.marking.enabled = false), (Some(json!("false")), None));
    let named = told(|spec| spec.marking.producer = Some("Example AG".to_owned()));
    assert_eq!(named, (None, Some(json!("Example AG"))));
}

#[test]
fn traces_go_where_the_spec_says_and_nowhere_otherwise() {
    let traced = |spec: &mut TtsDeploymentSpec| {
        let endpoint = "http://collector.observability:4318".to_owned();
        spec.observability.traces = Some(Traces { endpoint, percent: 5 });
    };
    for server in ["narrator-main", "narrator-gateway"] {
        let (plain, pod) =
            (template(server, |_| {})["spec"].clone(), template(server, traced)["spec"].clone());
        let value = |pod: &Value, name| variable(pod, name).unwrap_or_default();
        assert_eq!(value(&plain, "OTEL_EXPORTER_OTLP_ENDPOINT"), Value::Null);
        assert_eq!(
            (value(&pod, "OTEL_EXPORTER_OTLP_ENDPOINT"), value(&pod, "OTEL_TRACES_SAMPLER_ARG")),
            (json!("http://collector.observability:4318"), json!("0.05"))
        );
    }
    let wanted = wanted(traced);
    for policy in ["narrator", "narrator-gateway"] {
        let rules = child(&wanted, "NetworkPolicy", policy)["spec"]["egress"].to_string();
        assert!(rules.contains("4318"), "{policy}: {rules}");
    }
}

#[test]
fn what_leads_to_the_fleet_is_as_reviewed() {
    let wanted = wanted(|spec| {
        spec.resilience.timeouts.client = "15s500ms".to_owned();
        spec.expose = Expose {
            ingress: Some(Ingress {
                host: "speech.example.com".to_owned(),
                ingress_class_name: Some("nginx".to_owned()),
                tls_secret_name: Some("speech-tls".to_owned()),
            }),
            http_route: Some(HttpRoute {
                parent_refs: vec![ParentRef {
                    name: "edge".to_owned(),
                    namespace: Some("gateways".to_owned()),
                    section_name: None,
                }],
                hostnames: vec!["speech.example.com".to_owned()],
            }),
        };
    });
    insta::assert_yaml_snapshot!("exposing", wanted.exposing);
}

#[test]
fn pools_that_share_gpus_keep_to_different_nodes() {
    let mps = || Gpu { mode: GpuMode::Mps, memory_limit: Some("6Gi".into()), ..Gpu::default() };
    let pod = template("narrator-main", |spec| {
        two_pools(spec);
        spec.pools[0].resources.gpu = mps();
        spec.pools[1].resources.gpu = mps();
    });
    let term =
        &pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(term["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(
        term["labelSelector"]["matchExpressions"],
        json!([{"key": "ttsfleet.dev/pool", "operator": "NotIn", "values": ["main"]}])
    );
    for (key, value) in term["labelSelector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(&pod["metadata"]["labels"][key], value, "pods of other pools carry it just so");
    }
    let alone = template("narrator-main", |spec| spec.pools[0].resources.gpu = mps());
    assert_eq!(alone, pod, "another pool restarts none");
}

#[test]
fn requests_equal_limits_in_every_mode() {
    for gpu in [
        Gpu::default(),
        Gpu { mode: GpuMode::Exclusive, count: Some(2), ..Gpu::default() },
        Gpu { mode: GpuMode::Mps, memory_limit: Some("6Gi".into()), ..Gpu::default() },
    ] {
        let wanted = wanted(with_gpu(gpu));
        for name in ["narrator-main", "narrator-gateway"] {
            let pod = child(&wanted, "Deployment", name)["spec"]["template"]["spec"].clone();
            for container in pod["containers"].as_array().expect("containers") {
                assert_eq!(container["resources"]["requests"], container["resources"]["limits"]);
                assert!(container["resources"]["limits"]["memory"].is_string());
            }
        }
    }
}

#[test]
fn an_exclusive_gpu_is_on_a_node_that_shares_none_and_never_needs_a_spare() {
    let wanted = wanted(with_gpu(Gpu { mode: GpuMode::Exclusive, ..Gpu::default() }));
    let deployment = child(&wanted, "Deployment", "narrator-main");
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
    let pod = pod_spec(with_gpu(gpu));
    let value = |name| variable(&pod, name);
    assert_eq!(value("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"), Some(json!("0=6144M")));
    assert_eq!(value("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), Some(json!("40")));
}

/// The one container's name, and its pod's spec, of server, gateway and judge.
fn pods_with(settings: &Settings) -> Vec<(String, Value)> {
    let fleet = validate(&object(|_| {})).expect("a valid spec");
    let mut plan = PoolPlan::at_rest(PoolRecord::first(fleet.pools[0].model.clone()));
    comparing(&mut plan);
    let wanted = build(&fleet, settings, &[plan], None).expect("children");
    let children = wanted.all().map(|child| serde_json::to_value(child).expect("JSON"));
    let specs = children.filter_map(|child| child.pointer("/spec/template/spec").cloned());
    specs.map(|spec| (spec["containers"][0]["name"].as_str().unwrap_or_default().to_owned(), spec)).collect()
}

#[test]
fn pods_have_the_clusters_user_where_it_gives_one_and_pull_with_the_operators_secrets() {
    let fixed = json!([65532, 65532, 65532, null]);
    let assigned = json!([null, null, null, [{"name": "registry"}]]);
    let elsewhere = Settings { assigns_users: true, pull_secrets: vec!["registry".to_owned()], ..settings() };
    for (settings, expected) in [(settings(), fixed), (elsewhere, assigned)] {
        for (container, spec) in pods_with(&settings) {
            let security = &spec["securityContext"];
            let found = json!([
                security["runAsUser"],
                security["runAsGroup"],
                security["fsGroup"],
                spec["imagePullSecrets"],
            ]);
            assert_eq!(found, expected, "{container}");
            assert_eq!(security["runAsNonRoot"], true, "{container}");
        }
    }
}

#[test]
fn the_charts_policy_judges_our_containers_by_their_names() {
    let policy = include_str!("../../../../../helm/templates/admission-policy.yaml");
    let names: BTreeSet<String> = pods_with(&settings()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        assert!(policy.contains(&format!("'{name}'")), "{name}");
    }
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
fn the_network_is_open_only_for_models_that_are_fetched() {
    let ports = |change: &dyn Fn(&mut TtsDeploymentSpec)| {
        let policy = child(&wanted(change), "NetworkPolicy", "narrator");
        let rules = policy["spec"]["egress"].as_array().cloned().unwrap_or_default();
        let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
        ports.map(|port| port["port"].as_i64().unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(ports(&|_| {}), [53, 53]);
    assert_eq!(ports(&|spec| with_source("file:///models/hibari")(spec)), [53, 53]);
    assert_eq!(ports(&|spec| with_source("https://models.example:8443/hibari")(spec)), [53, 53, 8443]);
    let both = ports(&|spec| {
        two_pools(spec);
        spec.pools[0].model = model("https://models.example/large");
        spec.pools[1].model = model("http://models.example/small");
    });
    assert_eq!(both, [53, 53, 80, 443]);
}

#[test]
fn only_gateway_and_judge_may_ask_servers_to_speak_and_only_the_operator_may_command_them() {
    let wanted = planned(|_| {}, comparing);
    let policy = child(&wanted, "NetworkPolicy", "narrator");
    let rules = &policy["spec"]["ingress"];
    let ports: Vec<_> =
        rules.as_array().expect("rules").iter().map(|rule| rule["ports"][0]["port"].clone()).collect();
    assert_eq!(ports, [8080, 8082, 8081]);
    assert_eq!(
        rules[0]["from"][0]["podSelector"]["matchExpressions"],
        json!([{"key": "app.kubernetes.io/component", "operator": "In", "values": ["gateway", "judge"]}])
    );
    assert_eq!(
        rules[1]["from"],
        json!([{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ttsfleet-system"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "ttsfleet-operator"}},
        }])
    );
    assert_eq!(rules[2]["from"], Value::Null, "health and metrics are for all");
    let selected = &policy["spec"]["podSelector"]["matchExpressions"][0]["values"];
    assert_eq!(selected, &json!(["inference", "shadow", "baseline"]));
}

#[test]
fn the_record_holds_what_the_servers_read_and_what_the_operator_remembers() {
    let wanted = wanted(with_source("https://models.example/hibari"));
    let data = child(&wanted, "ConfigMap", "narrator-main")["data"].clone();
    let text = |key: &str| data[key].as_str().map(str::to_owned);
    let (model, rollout) = (text("model.json"), text("rollout.json"));
    let served: ModelRecord = serde_json::from_str(model.as_deref().expect("text")).expect("a model");
    assert_eq!((served.name.as_str(), served.version.as_str()), ("hibari", "1"));
    let record = PoolRecord::read(None, rollout.as_deref()).expect("a record");
    assert_eq!(record, PoolRecord::first(served));
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
