//! The operator against a real API server.

mod support;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use support::{Cluster, Connection, Cut, Running, eventually};
use tokio::sync::Notify;
use tokio::time::timeout;
use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};
use ttsfleet_e2e::control_plane::Options;
use ttsfleet_operator::leader::{Candidate, system_clock};

/// Kind, group/version, name of every child of the fleet `narrator`.
const CHILDREN: [(&str, &str, &str, &str); 6] = [
    ("ServiceAccount", "", "v1", "narrator"),
    ("NetworkPolicy", "networking.k8s.io", "v1", "narrator"),
    ("ConfigMap", "", "v1", "narrator-main"),
    ("Service", "", "v1", "narrator"),
    ("PodDisruptionBudget", "policy", "v1", "narrator-main"),
    ("Deployment", "apps", "v1", "narrator-main"),
];

fn api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let (kind, group, version, _) = CHILDREN.into_iter().find(|child| child.0 == kind).expect("a child kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn namespace(client: &Client, name: &str) {
    let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
    Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("the namespace is made");
}

async fn create(client: &Client, namespace: &str) -> TtsDeployment {
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), namespace);
    let fleet = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
    fleets.create(&PostParams::default(), &fleet).await.expect("the fleet is made")
}

async fn get(client: &Client, namespace: &str, kind: &str) -> Option<DynamicObject> {
    let (.., name) = CHILDREN.into_iter().find(|child| child.0 == kind).expect("a child kind");
    api(client, namespace, kind).get_opt(name).await.ok().flatten()
}

/// Waits until the operator has nothing left to do, and gives its writes.
async fn at_rest(running: &Running) -> usize {
    let mut last = (running.connection.writes(), Instant::now());
    eventually("the operator is at rest", || {
        let now = running.connection.writes();
        if now != last.0 {
            last = (now, Instant::now());
        }
        let rested = running.passes() > 0 && last.1.elapsed() > Duration::from_secs(2);
        std::future::ready(rested.then_some(now))
    })
    .await
}

fn condition(fleet: &TtsDeployment, type_: &str) -> Option<(String, String)> {
    let conditions = fleet.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().find(|c| c.type_ == type_).map(|c| (c.status.clone(), c.reason.clone()))
}

/// The children without what differs from one creation to the next.
async fn state(client: &Client, namespace: &str) -> Value {
    let mut state = Vec::new();
    for (kind, ..) in CHILDREN {
        let list = api(client, namespace, kind).list(&ListParams::default()).await.expect("a list");
        for mut object in list {
            // Made by the cluster in every namespace.
            if ["default", "kube-root-ca.crt"].contains(&object.name_any().as_str()) {
                continue;
            }
            let writers: Vec<String> = object
                .managed_fields()
                .iter()
                .filter(|entry| entry.subresource.is_none())
                .map(|entry| format!("{:?} {:?}", entry.manager, entry.operation))
                .collect();
            let owners: Vec<String> =
                object.owner_references().iter().map(|owner| owner.name.clone()).collect();
            for field in ["clusterIP", "clusterIPs"] {
                object.data["spec"].as_object_mut().map(|spec| spec.remove(field));
            }
            object.data.as_object_mut().map(|data| data.remove("status"));
            let labels = object.labels().clone();
            state.push(json!([kind, object.name_any(), labels, owners, writers, object.data]));
        }
    }
    Value::Array(state)
}

/// Where it was stopped must not matter: an operator is killed at its first
/// write, its second, …, before and after the API server has got it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_state_is_the_same_wherever_the_operator_is_killed() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client();
    namespace(&client, "whole").await;
    create(&client, "whole").await;
    let undisturbed = cluster.operator("whole", Connection::default());
    let writes = at_rest(&undisturbed).await;
    let expected = state(&client, "whole").await;
    assert_eq!(expected.as_array().map(Vec::len), Some(CHILDREN.len()), "{expected:#}");
    assert!(writes > CHILDREN.len(), "children and the status");

    for write in 1..=writes {
        for cut in [Cut::Before(write), Cut::After(write)] {
            let name = format!("{cut:?}").to_lowercase().replace('(', "-").replace(')', "");
            namespace(&client, &name).await;
            create(&client, &name).await;
            let killed = cluster.operator(&name, Connection::that_is_cut(cut));
            eventually("the operator is cut off", || {
                std::future::ready(killed.connection.is_dead().then_some(()))
            })
            .await;
            drop(killed);
            let next = cluster.operator(&name, Connection::default());
            at_rest(&next).await;
            assert_eq!(state(&client, &name).await, expected, "killed at {cut:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_made_kept_true_and_removed() {
    let mut cluster = Cluster::start(Options { controllers: true }).await;
    let client = cluster.client();
    let name = "life";
    namespace(&client, name).await;
    create(&client, name).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let expected = state(&client, name).await;

    // A new operator finds everything as it shall be, and writes nothing.
    drop(running);
    let running = cluster.operator(name, Connection::default());
    assert_eq!(at_rest(&running).await, 0, "a fleet at rest costs no writes");

    drift_is_put_right(&client, name, &expected).await;
    let before = running.connection.writes();
    at_rest(&running).await;
    let after = running.connection.writes();
    assert!(after - before < 5, "putting right ends: {} writes", after - before);

    cluster.plane.restart_api_server().expect("the API server comes back");
    let client = cluster.client();
    api(&client, name, "Service").delete("narrator", &DeleteParams::default()).await.expect("deleted");
    eventually("the Service is back after the API server was restarted", || get(&client, name, "Service"))
        .await;

    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), name);
    fleets.delete("narrator", &DeleteParams::default()).await.expect("deleted");
    eventually("the children go with the fleet", || async {
        (state(&client, name).await == json!([])).then_some(())
    })
    .await;
}

/// What people do to children by hand, each put right within two seconds.
async fn drift_is_put_right(client: &Client, namespace: &str, expected: &Value) {
    let container = |change: Value| json!({"spec": {"template": {"spec": {"containers": [change]}}}});
    let edits = [
        ("Deployment", "scaled", json!({"spec": {"replicas": 5}})),
        ("Deployment", "paused", json!({"spec": {"paused": true}})),
        ("Deployment", "a changed image", container(json!({"name": "server", "image": "other"}))),
        ("Deployment", "a second container", container(json!({"name": "intruder", "image": "other"}))),
        (
            "Deployment",
            "a changed variable",
            container(json!({"name": "server", "env": [{"name": "TTSFLEET_WORKERS", "value": "9"}]})),
        ),
        (
            "Deployment",
            "an added variable",
            container(json!({"name": "server", "env": [{"name": "EXTRA", "value": "1"}]})),
        ),
        (
            "Deployment",
            "another memory limit",
            container(json!({"name": "server", "resources": {"limits": {"memory": "2Gi"}}})),
        ),
        ("Service", "another selector", json!({"spec": {"selector": {"app": "other"}}})),
        ("ConfigMap", "another model", json!({"data": {"model.json": "{}", "more": "x"}})),
        ("PodDisruptionBudget", "no budget", json!({"spec": {"maxUnavailable": "100%"}})),
        ("NetworkPolicy", "no rules", json!({"spec": {"egress": [{}]}})),
        ("ServiceAccount", "a token", json!({"automountServiceAccountToken": true})),
        (
            "ServiceAccount",
            "no label",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
        ),
    ];
    for (kind, what, edit) in edits {
        let (.., object) = CHILDREN.into_iter().find(|child| child.0 == kind).expect("a child");
        let by_hand =
            PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        api(client, namespace, kind).patch(object, &by_hand, &Patch::Strategic(&edit)).await.expect(what);
        back_within_two_seconds(client, namespace, expected, &format!("{kind}: {what}")).await;
    }
    for (kind, .., object) in CHILDREN {
        api(client, namespace, kind).delete(object, &DeleteParams::background()).await.expect("deleted");
        back_within_two_seconds(client, namespace, expected, &format!("{kind} deleted")).await;
    }
}

async fn back_within_two_seconds(client: &Client, namespace: &str, expected: &Value, what: &str) {
    let started = Instant::now();
    eventually(what, || async { (state(client, namespace).await == *expected).then_some(()) }).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{what}: {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_left_alone_and_named() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client();
    namespace(&client, "shared").await;
    let theirs: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "narrator"}, "spec": {"ports": [{"port": 9}]},
    }))
    .expect("a service");
    let theirs =
        api(&client, "shared", "Service").create(&PostParams::default(), &theirs).await.expect("made");
    create(&client, "shared").await;
    let running = cluster.operator("shared", Connection::default());
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), "shared");
    let reason = eventually("the conflict is reported", || async {
        condition(&fleets.get("narrator").await.ok()?, "Degraded").filter(|(status, _)| status == "True")
    })
    .await;
    assert_eq!(reason.1, "NameConflict");
    let now = get(&client, "shared", "Service").await.expect("still there");
    assert_eq!(now.resource_version(), theirs.resource_version(), "untouched");
    assert!(
        get(&client, "shared", "Deployment").await.is_none(),
        "nothing is started that cannot be reached"
    );

    api(&client, "shared", "Service").delete("narrator", &DeleteParams::default()).await.expect("deleted");
    eventually("the fleet goes on by itself", || get(&client, "shared", "Deployment")).await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_and_passes_on_when_released() {
    let cluster = Cluster::start(Options::default()).await;
    let candidate =
        |identity| Candidate::new(cluster.client(), "default", "operator", identity, system_clock());
    let (first, second) = (candidate("first"), candidate("second"));
    first.acquire(|| {}).await;

    let refused = Notify::new();
    let mut waiting = std::pin::pin!(second.acquire(|| refused.notify_one()));
    tokio::select! {
        () = &mut waiting => panic!("two replicas hold the lease"),
        () = refused.notified() => {}
    }
    first.release().await.expect("released");
    timeout(Duration::from_secs(20), waiting).await.expect("the second takes over at once");
    timeout(Duration::from_secs(20), first.hold())
        .await
        .expect("the first notices that it is no longer the holder");
}
