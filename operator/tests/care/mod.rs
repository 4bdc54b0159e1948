//! What is not the fleet's is told from what is, and what goes wrong with one
//! object keeps no other from being cared for.

use std::net::IpAddr;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use ttsfleet_crds::TtsDeployment;
use ttsfleet_e2e::control_plane::Options;

use crate::support::narrator::{
    api, at_rest, by_hand, change, create, create_with, degraded, get, namespace, state,
};
use crate::support::pods::{FakePods, replica_set};
use crate::support::{Cluster, Connection, eventually};

/// A pod that a Deployment has made, in this state.
async fn pod_of(client: &Client, namespace: &str, deployment: &str, name: &str, status: Value) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let deployment = deployments.get(deployment).await.expect("a Deployment");
    let owner = replica_set(client, namespace, &deployment).await.expect("a ReplicaSet");
    let template = deployment.spec.expect("a spec").template;
    let mut metadata = template.metadata.unwrap_or_default();
    metadata.name = Some(name.to_owned());
    metadata.annotations = None;
    metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = Pod { metadata, spec: template.spec, status: None };
    pods.create(&PostParams::default(), &pod).await.expect("a pod");
    let status = Patch::Merge(json!({"status": status}));
    pods.patch_status(name, &PatchParams::default(), &status).await.expect("its status");
}

fn running() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

async fn remove_pod(client: &Client, namespace: &str, name: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    pods.delete(name, &at_once).await.expect("deleted");
}

async fn account_stamp(client: &Client, namespace: &str) -> Option<String> {
    let gateway = get(client, namespace, "Deployment", "narrator-gateway").await?;
    let annotations = &gateway.data["spec"]["template"]["metadata"]["annotations"];
    annotations["ttsfleet.dev/account"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_whose_account_was_made_again_are_replaced_once() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "account");
    namespace(&client, name).await;
    create(&client, name).await;
    let running_operator = cluster.operator(name, Connection::default());
    at_rest(&running_operator).await;
    pod_of(&client, name, "narrator-gateway", "narrator-gateway-1", running()).await;
    at_rest(&running_operator).await;
    assert_eq!(account_stamp(&client, name).await, None, "the first account is nobody's second");

    // Times of creation are whole seconds.
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let made = pods.get("narrator-gateway-1").await.expect("a pod").creation_timestamp().expect("a time");
    eventually("another second", || async {
        (jiff::Timestamp::now().as_second() > made.0.as_second()).then_some(())
    })
    .await;
    let account = "narrator-gateway";
    api(&client, name, "ServiceAccount").delete(account, &DeleteParams::default()).await.expect("deleted");
    let uid = eventually("the account is back", || async {
        get(&client, name, "ServiceAccount", account).await?.uid()
    })
    .await;
    eventually("its pods are asked for anew", || async {
        (account_stamp(&client, name).await.as_ref() == Some(&uid)).then_some(())
    })
    .await;
    let (reason, message) = eventually("it is said", || degraded(&client, name)).await;
    assert_eq!(reason, "AccountReplaced");
    assert!(message.contains("narrator-gateway-1"), "{message}");

    remove_pod(&client, name, "narrator-gateway-1").await;
    pod_of(&client, name, "narrator-gateway", "narrator-gateway-2", running()).await;
    eventually("nothing is wrong", || async { degraded(&client, name).await.is_none().then_some(()) }).await;
    at_rest(&running_operator).await;
    drop(running_operator);
    let next = cluster.operator(name, Connection::default());
    assert_eq!(at_rest(&next).await, 0, "they are replaced once");
    assert_eq!(account_stamp(&client, name).await, Some(uid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_a_pools_labels_is_not_trusted_and_is_named_while_it_answers_callers() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "stray");
    namespace(&client, name).await;
    let source = json!({"uri": "file:///models/1"});
    let pool = json!({"name": "main", "model": {"name": "hibari", "version": "1", "source": source}});
    create_with(&client, name, json!({"pools": [pool], "rollout": {"strategy": "Direct"}})).await;
    let (pods, _kubelet) = FakePods::start(client.clone(), name, false);
    let connection = Connection::default();
    let over = pods.over(&connection);
    let _running = cluster.operator_with(name, connection, over);
    let serving = |title: &'static str| {
        let pods = &pods;
        eventually(title, move || async move {
            let serving = pods.serving();
            (serving.len() == 2 && serving.values().all(|of| of.0 == title)).then_some(())
        })
    };
    serving("hibari@1").await;

    let labels = get(&client, name, "Deployment", "narrator-main").await.expect("the pods");
    let mut labels = labels.data["spec"]["template"]["metadata"]["labels"].clone();
    // Not one that the fake kubelet looks after.
    labels["stray"] = json!("yes");
    let stray: Pod = serde_json::from_value(json!({
        "metadata": {"name": "stray", "labels": labels},
        "spec": {"containers": [{"name": "server", "image": "registry.example/other"}]},
    }))
    .expect("a pod");
    let api: Api<Pod> = Api::namespaced(client.clone(), name);
    let uid = api.create(&PostParams::default(), &stray).await.expect("made").uid();
    let mut status = running();
    status["podIP"] = json!("10.255.0.1");
    status["podIPs"] = json!([{"ip": "10.255.0.1"}]);
    let status = Patch::Merge(json!({"status": status}));
    api.patch_status("stray", &PatchParams::default(), &status).await.expect("its status");
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "narrator-main-1", "labels": {
            "kubernetes.io/service-name": "narrator-main", "app.kubernetes.io/name": "ttsfleet",
            "app.kubernetes.io/instance": "narrator",
        }},
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.255.0.1"], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": "stray", "uid": uid},
        }],
    }))
    .expect("a slice");
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), name);
    slices.create(&PostParams::default(), &slice).await.expect("made");

    let source = json!({"uri": "file:///models/2"});
    let pool = json!({"name": "main", "model": {"name": "hibari", "version": "2", "source": source}});
    change(&client, name, json!({"pools": [pool]})).await;
    serving("hibari@2").await;
    let message = eventually("the stray is named", || async {
        let (_, message) = degraded(&client, name).await?;
        message.contains("Pod stray answers callers as pool main").then_some(message)
    })
    .await;
    assert!(message.contains("delete it, or take its labels away"), "{message}");
    let stray: IpAddr = "10.255.0.1".parse().expect("an address");
    assert!(!pods.has_trusted(stray), "the token of the admin API is for the fleet's own pods");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trial_lacks_keeps_nothing_from_being_cared_for() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "optional");
    namespace(&client, name).await;
    let model = |version: &str| {
        let source = json!({"uri": format!("file:///models/{version}")});
        json!({"pools": [{"name": "main", "model": {"name": "hibari", "version": version, "source": source}}]})
    };
    create_with(&client, name, model("1")).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let expected = state(&client, name).await;
    let theirs: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "narrator-main-shadow"},
        "spec": {"ports": [{"port": 9}]},
    }))
    .expect("a service");
    api(&client, name, "Service").create(&PostParams::default(), &theirs).await.expect("made");
    change(&client, name, model("2")).await;
    let (reason, message) = eventually("the conflict is told", || degraded(&client, name)).await;
    assert_eq!(reason, "NameConflict");
    assert!(message.contains("Service narrator-main-shadow"), "{message}");

    eventually("so does the rollout", || async {
        let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), name);
        let status = fleets.get("narrator").await.ok()?.status?;
        let rollout = status.pools.into_iter().find_map(|pool| pool.rollout)?;
        rollout.message.contains("Service narrator-main-shadow exists").then_some(())
    })
    .await;

    change(&client, name, json!({"limits": {"maxInputChars": 123}})).await;
    eventually("the gateway gets its routes", || async {
        let routes = get(&client, name, "ConfigMap", "narrator-gateway").await?;
        routes.data["data"]["route.json"].as_str()?.contains("\"maxInputChars\":123").then_some(())
    })
    .await;
    let budgets = api(&client, name, "PodDisruptionBudget");
    budgets.delete("narrator-gateway", &DeleteParams::default()).await.expect("deleted");
    by_hand(&client, name, "Deployment", "narrator-gateway", &json!({"spec": {"replicas": 0}})).await;
    eventually("what is necessary is put right", || async {
        get(&client, name, "PodDisruptionBudget", "narrator-gateway").await?;
        let gateway = get(&client, name, "Deployment", "narrator-gateway").await?;
        (gateway.data["spec"]["replicas"] == 2).then_some(())
    })
    .await;

    change(&client, name, json!({"limits": {"maxInputChars": 600}, "pools": model("1")["pools"]})).await;
    api(&client, name, "Service")
        .delete("narrator-main-shadow", &DeleteParams::default())
        .await
        .expect("deleted");
    eventually("all is as before", || async {
        let now = state(&client, name).await;
        let without_history = |state: &Value| -> Vec<Value> {
            let all = state.as_array().cloned().unwrap_or_default();
            all.into_iter()
                .filter(|object| object[1] != "narrator-main" || object[0] != "ConfigMap")
                .collect()
        };
        (without_history(&now) == without_history(&expected)).then_some(())
    })
    .await;
}

/// A webhook for ConfigMaps that is down, for instance.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_written_is_told_and_keeps_nothing_else_from_being_cared_for() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "unrecorded");
    namespace(&client, name).await;
    let pools = |version: &str| {
        let source = json!({"uri": format!("file:///models/{version}")});
        json!([{"name": "main", "model": {"name": "hibari", "version": version, "source": source}}])
    };
    create_with(&client, name, json!({"pools": pools("1")})).await;
    at_rest(&cluster.operator(name, Connection::default())).await;

    let _running = cluster.operator(name, Connection::that_loses("/configmaps/"));
    change(&client, name, json!({"replicas": 3, "pools": pools("2")})).await;
    api(&client, name, "Service").delete("narrator", &DeleteParams::default()).await.expect("deleted");
    eventually("what does not depend on the record is put right", || async {
        get(&client, name, "Service", "narrator").await?;
        let pods = get(&client, name, "Deployment", "narrator-main").await?;
        (pods.data["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    let (reason, message) = eventually("it is said", || degraded(&client, name)).await;
    assert_eq!(reason, "ChangeRefused");
    assert!(message.contains("ConfigMap narrator-main"), "{message}");
    let shadow = get(&client, name, "Deployment", "narrator-main-shadow").await;
    assert!(shadow.is_none(), "what is not on record has not happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_config_map_is_not_read_as_a_record() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "stranger");
    namespace(&client, name).await;
    let record =
        json!({"name": "hibari", "version": "evil", "source": {"uri": "file:///models/evil"}}).to_string();
    let theirs: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "narrator-main"},
        "data": {"model.json": record},
    }))
    .expect("a ConfigMap");
    api(&client, name, "ConfigMap").create(&PostParams::default(), &theirs).await.expect("made");
    create(&client, name).await;
    let _running = cluster.operator(name, Connection::default());
    let (reason, message) = eventually("the conflict is told", || degraded(&client, name)).await;
    assert_eq!(reason, "NameConflict");
    assert!(message.contains("ConfigMap narrator-main"), "{message}");
    let model = || async {
        let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), name);
        fleets.get("narrator").await.ok()?.status.map(|status| status.model)
    };
    assert_eq!(model().await.as_deref(), Some("built-in"));

    api(&client, name, "ConfigMap").delete("narrator-main", &DeleteParams::default()).await.expect("deleted");
    let ours = eventually("the fleet goes on", || async {
        get(&client, name, "Deployment", "narrator-gateway").await?;
        get(&client, name, "ConfigMap", "narrator-main").await
    })
    .await;
    let told = ours.data["data"]["model.json"].to_string();
    assert!(!told.contains("evil"), "{told}");
    assert_eq!(model().await.as_deref(), Some("built-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_is_on_record_for_is_removed_too() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "unowned");
    namespace(&client, name).await;
    create(&client, name).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let expected = state(&client, name).await;
    drop(running);

    // As a webhook does that changes what others write, and is gone then.
    let before = get(&client, name, "Deployment", "narrator-main").await.expect("the pods");
    let container =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "left", "image": "other"}]}}}});
    by_hand(&client, name, "Deployment", "narrator-main", &container).await;
    let without = Patch::Merge(json!({"metadata": {"managedFields": before.managed_fields()}}));
    let deployments = api(&client, name, "Deployment");
    deployments.patch("narrator-main", &PatchParams::default(), &without).await.expect("forgotten");
    let now = deployments.get("narrator-main").await.expect("the pods");
    assert!(now.managed_fields().iter().all(|entry| entry.manager.as_deref() != Some("kubectl-edit")));

    let running = cluster.operator(name, Connection::default());
    eventually("it is gone", || async { (state(&client, name).await == expected).then_some(()) }).await;
    at_rest(&running).await;
    assert_eq!(degraded(&client, name).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_waits_for_a_missing_secret_is_told_in_the_kubelets_words() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "volumes");
    namespace(&client, name).await;
    let keys = json!({"routing": {"tierFrom": {"apiKeySecretRef": {"name": "keys"}}}});
    create_with(&client, name, keys).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let status = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]});
    let words = "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found";
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    pod_of(&client, name, "narrator-gateway", "narrator-gateway-1", status).await;
    let uid = pods.get("narrator-gateway-1").await.expect("a pod").uid();
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "narrator-gateway-1.1"}, "reason": "FailedMount", "type": "Warning", "message": words,
        "involvedObject": {"kind": "Pod", "namespace": name, "name": "narrator-gateway-1", "uid": uid},
        "lastTimestamp": "2026-01-01T00:02:00Z",
    }))
    .expect("an event");
    let events: Api<Event> = Api::namespaced(client.clone(), name);
    events.create(&PostParams::default(), &event).await.expect("made");
    eventually("it is said", || async {
        let (reason, message) = degraded(&client, name).await?;
        (reason == "VolumeUnavailable" && message.contains(words) && message.contains("Secret keys: make it"))
            .then_some(())
    })
    .await;
}
