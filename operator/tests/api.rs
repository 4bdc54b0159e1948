//! The operator against a real API server.

mod adjusted;
mod care;
mod rollout;
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use support::narrator::{
    CHILDREN, GATEWAY_API, api, at_rest, by_hand, change, create, create_with, degraded, get, namespace,
    of_pool, state,
};
use support::{Cluster, Connection, Cut, eventually};
use tokio::sync::Notify;
use tokio::time::timeout;
use ttsfleet_crds::TtsDeployment;
use ttsfleet_e2e::control_plane::Options;
use ttsfleet_operator::fleet::diff::differences;
use ttsfleet_operator::key::AdminKey;
use ttsfleet_operator::leader::{Candidate, system_clock};
use ttsfleet_operator::platform::assigns_users;

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

    let cuts = (1..=writes).flat_map(|write| [Cut::Before(write), Cut::After(write)]);
    let (cluster, client, expected) = (&cluster, &client, &expected);
    // Most of the time of each is waiting for it to be at rest.
    let trials = futures::stream::iter(cuts).for_each_concurrent(4, |cut| async move {
        let name = format!("{cut:?}").to_lowercase().replace('(', "-").replace(')', "");
        namespace(client, &name).await;
        create(client, &name).await;
        let killed = cluster.operator(&name, Connection::that_is_cut(cut));
        eventually("the operator is cut off", || {
            std::future::ready(killed.connection.is_dead().then_some(()))
        })
        .await;
        drop(killed);
        let next = cluster.operator(&name, Connection::default());
        at_rest(&next).await;
        let state = state(client, &name).await;
        assert!(state == *expected, "killed at {cut:?}: {:?}", differences(expected, &state));
    });
    trials.await;
}

/// All passes of a starting operator wait for the same first lists.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_serves_every_fleet_it_finds() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client();
    let name = "many";
    namespace(&client, name).await;
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), name);
    for number in 0..8 {
        let fleet = TtsDeployment::new(&format!("fleet-{number}"), Default::default());
        fleets.create(&PostParams::default(), &fleet).await.unwrap();
    }
    let _running = cluster.operator(name, Connection::default());
    eventually("every fleet has a status", async || {
        let all = fleets.list(&Default::default()).await.ok()?;
        all.iter().all(|fleet| fleet.status.is_some()).then_some(())
    })
    .await;
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
    eventually("the Service is back after the API server was restarted", || {
        get(&client, name, "Service", "narrator")
    })
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
    let (main, gateway) = ("narrator-main", "narrator-gateway");
    let edits = [
        ("Deployment", main, "scaled", json!({"spec": {"replicas": 5}})),
        ("Deployment", main, "paused", json!({"spec": {"paused": true}})),
        ("Deployment", main, "a changed image", container(json!({"name": "server", "image": "other"}))),
        ("Deployment", main, "a second container", container(json!({"name": "intruder", "image": "other"}))),
        (
            "Deployment",
            main,
            "a changed variable",
            container(json!({"name": "server", "env": [{"name": "TTSFLEET_WORKERS", "value": "9"}]})),
        ),
        (
            "Deployment",
            gateway,
            "an added variable",
            container(json!({"name": "gateway", "env": [{"name": "EXTRA", "value": "1"}]})),
        ),
        (
            "Deployment",
            gateway,
            "another memory limit",
            container(json!({"name": "gateway", "resources": {"limits": {"memory": "2Gi"}}})),
        ),
        ("Service", "narrator", "another selector", json!({"spec": {"selector": {"app": "other"}}})),
        ("Service", main, "pods that are not ready", json!({"spec": {"publishNotReadyAddresses": true}})),
        ("ConfigMap", main, "another model", json!({"data": {"model.json": "{}", "more": "x"}})),
        ("ConfigMap", gateway, "other routes", json!({"data": {"route.json": "{}"}})),
        ("PodDisruptionBudget", main, "no budget", json!({"spec": {"maxUnavailable": "100%"}})),
        ("NetworkPolicy", "narrator", "no rules", json!({"spec": {"egress": [{}]}})),
        (
            "Role",
            gateway,
            "more rights",
            json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        ),
        ("RoleBinding", gateway, "nobody", json!({"subjects": null})),
        ("Role", gateway, "no owner", json!({"metadata": {"ownerReferences": [{"$patch": "replace"}]}})),
        ("ServiceAccount", "narrator", "a token", json!({"automountServiceAccountToken": true})),
        (
            "ServiceAccount",
            gateway,
            "no label",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
        ),
    ];
    for (kind, object, what, edit) in edits {
        by_hand(client, namespace, kind, object, &edit).await;
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
    let (reason, _) = eventually("the conflict is reported", || degraded(&client, "shared")).await;
    assert_eq!(reason, "NameConflict");
    let now = get(&client, "shared", "Service", "narrator").await.expect("still there");
    assert_eq!(now.resource_version(), theirs.resource_version(), "untouched");
    let pods = get(&client, "shared", "Deployment", "narrator-main").await;
    assert!(pods.is_none(), "nothing is started that cannot be reached");

    api(&client, "shared", "Service").delete("narrator", &DeleteParams::default()).await.expect("deleted");
    eventually("the fleet goes on by itself", || get(&client, "shared", "Deployment", "narrator-gateway"))
        .await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_comes_and_goes_with_all_its_objects_and_leaves_the_others_alone() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "pools");
    namespace(&client, name).await;
    create(&client, name).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let before = state(&client, name).await;
    let gateway = get(&client, name, "Deployment", "narrator-gateway").await.expect("the gateway");

    let two = json!({"pools": [{"name": "main"}, {"name": "backup", "replicas": 1}]});
    change(&client, name, two).await;
    at_rest(&running).await;
    let kinds = ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service"];
    let expected: BTreeSet<_> =
        kinds.into_iter().map(|kind| (kind.to_owned(), "narrator-backup".to_owned())).collect();
    assert_eq!(of_pool(&client, name, "backup").await, expected);
    let backup = get(&client, name, "Deployment", "narrator-backup").await.expect("its pods");
    assert_eq!(backup.data["spec"]["replicas"], 1);
    let routes = get(&client, name, "ConfigMap", "narrator-gateway").await.expect("the routes");
    assert!(routes.data["data"]["route.json"].to_string().contains("narrator-backup"));

    change(&client, name, json!({"pools": [{"name": "main"}]})).await;
    eventually("the pool's objects go", || async {
        of_pool(&client, name, "backup").await.is_empty().then_some(())
    })
    .await;
    at_rest(&running).await;
    assert_eq!(state(&client, name).await, before);
    let after = get(&client, name, "Deployment", "narrator-gateway").await.expect("the gateway");
    assert_eq!(after.resource_version(), gateway.resource_version(), "routes changed twice, its pods never");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tug_of_war_is_given_up_reported_and_ended_when_the_other_side_lets_go() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "contested");
    namespace(&client, name).await;
    create(&client, name).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let expected = state(&client, name).await;

    let edit = json!({"spec": {"replicas": 9}});
    let (reason, message) = eventually("the operator gives up", || async {
        by_hand(&client, name, "Deployment", "narrator-main", &edit).await;
        degraded(&client, name).await
    })
    .await;
    assert_eq!(reason, "Overridden");
    assert!(message.contains("Deployment narrator-main"), "{message}");
    let writes = running.connection.writes();
    assert!(writes < 100, "{writes} writes");

    eventually("the child is put right and nothing is wrong", || async {
        let over = state(&client, name).await == expected && degraded(&client, name).await.is_none();
        over.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_route_is_made_once_the_cluster_knows_the_kind_and_removed_when_unwanted() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "exposed");
    namespace(&client, name).await;
    create_with(&client, name, json!({"expose": {"httpRoute": {"parentRefs": [{"name": "edge"}]}}})).await;
    let _running = cluster.operator(name, Connection::default());
    let (reason, message) = eventually("what lacks is reported", || degraded(&client, name)).await;
    assert_eq!(reason, "ExposeUnavailable");
    assert!(message.contains("HTTPRoute") && message.contains("spec.expose"), "{message}");
    assert_eq!(
        state(&client, name).await.as_array().map(Vec::len),
        Some(CHILDREN.len()),
        "all else is there"
    );

    cluster.plane.apply(GATEWAY_API).expect("the definition is accepted");
    let route = eventually("the route is made", || get(&client, name, "HTTPRoute", "narrator")).await;
    assert_eq!(route.data["spec"]["rules"][0]["timeouts"]["request"], "35s");
    eventually("nothing is wrong", || async { degraded(&client, name).await.is_none().then_some(()) }).await;

    change(&client, name, json!({"expose": {"httpRoute": null, "ingress": {"host": "speech.example.com"}}}))
        .await;
    eventually("the route goes", || async {
        get(&client, name, "HTTPRoute", "narrator").await.is_none().then_some(())
    })
    .await;
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), name);
    eventually("the Ingress is there", || async { ingresses.get_opt("narrator").await.ok().flatten() }).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_assigns_users_is_told_by_the_api_that_does() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client();
    assert!(!assigns_users(&client).await.expect("an answer"));
    cluster.plane.apply(CONSTRAINTS).expect("the definition is accepted");
    eventually("it is told", || async { assigns_users(&client).await.ok()?.then_some(()) }).await;
}

/// As much of OpenShift as there is to tell it by.
const CONSTRAINTS: &str = r#"{
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "securitycontextconstraints.security.openshift.io"},
    "spec": {
        "group": "security.openshift.io", "scope": "Cluster",
        "names": {"kind": "SecurityContextConstraints", "plural": "securitycontextconstraints"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true
        }}}]
    }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_key_to_the_pods_is_made_once_and_then_found() {
    let cluster = Cluster::start(Options::default()).await;
    let client = cluster.client();
    let ensure = || AdminKey::ensure(&client, "default", "operator-key");
    let (one, other) = futures::join!(ensure(), ensure());
    let token = |key: Result<AdminKey, _>| key.expect("a key").token("0b0e");
    let token_of_one = token(one);
    assert_eq!(token_of_one, token(other), "of two that make it, one is first");
    assert_eq!(token_of_one, token(ensure().await), "a new leader finds it");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    let broken = json!({"data": {"key": "c2hvcnQ="}});
    secrets.patch("operator-key", &PatchParams::default(), &Patch::Merge(broken)).await.expect("changed");
    let error = ensure().await.expect_err("no key").to_string();
    assert!(error.contains("operator-key") && error.contains("delete it"), "{error}");
}
