//! The fleet `narrator` and its objects, as the tests make, change and read
//! them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};

use super::{Running, eventually};

/// Kind, group, version and name of every child of the fleet `narrator`.
pub(crate) const CHILDREN: [(&str, &str, &str, &str); 14] = [
    ("ServiceAccount", "", "v1", "narrator"),
    ("ServiceAccount", "", "v1", "narrator-gateway"),
    ("Role", "rbac.authorization.k8s.io", "v1", "narrator-gateway"),
    ("RoleBinding", "rbac.authorization.k8s.io", "v1", "narrator-gateway"),
    ("NetworkPolicy", "networking.k8s.io", "v1", "narrator"),
    ("NetworkPolicy", "networking.k8s.io", "v1", "narrator-gateway"),
    ("Service", "", "v1", "narrator"),
    ("Service", "", "v1", "narrator-main"),
    ("ConfigMap", "", "v1", "narrator-main"),
    ("ConfigMap", "", "v1", "narrator-gateway"),
    ("PodDisruptionBudget", "policy", "v1", "narrator-main"),
    ("PodDisruptionBudget", "policy", "v1", "narrator-gateway"),
    ("Deployment", "apps", "v1", "narrator-main"),
    ("Deployment", "apps", "v1", "narrator-gateway"),
];

pub(crate) fn api(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let known = CHILDREN.into_iter().find(|child| child.0 == kind);
    let (group, version) = known.map_or(("gateway.networking.k8s.io", "v1"), |child| (child.1, child.2));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

pub(crate) async fn namespace(client: &Client, name: &str) {
    let object: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a namespace");
    Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("the namespace is made");
}

pub(crate) async fn create(client: &Client, namespace: &str) -> TtsDeployment {
    create_with(client, namespace, json!({})).await
}

pub(crate) async fn create_with(client: &Client, namespace: &str, spec: Value) -> TtsDeployment {
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), namespace);
    let spec: TtsDeploymentSpec = serde_json::from_value(spec).expect("a spec");
    let fleet = TtsDeployment::new("narrator", spec);
    fleets.create(&PostParams::default(), &fleet).await.expect("the fleet is made")
}

/// Changes the fleet as its owner would.
pub(crate) async fn change(client: &Client, namespace: &str, spec: Value) {
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"spec": spec}));
    fleets.patch("narrator", &PatchParams::default(), &patch).await.expect("the fleet is changed");
}

pub(crate) async fn get(client: &Client, namespace: &str, kind: &str, name: &str) -> Option<DynamicObject> {
    api(client, namespace, kind).get_opt(name).await.ok().flatten()
}

/// The fleet's Degraded condition, if it is true: reason and message.
pub(crate) async fn degraded(client: &Client, namespace: &str) -> Option<(String, String)> {
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), namespace);
    let status = fleets.get("narrator").await.ok()?.status?;
    let condition = status.conditions.into_iter().find(|c| c.type_ == "Degraded" && c.status == "True")?;
    Some((condition.reason, condition.message))
}

/// Waits until the operator has nothing left to do, and gives its writes.
pub(crate) async fn at_rest(running: &Running) -> usize {
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

/// The children without what differs from one creation to the next.
pub(crate) async fn state(client: &Client, namespace: &str) -> Value {
    let mut state = Vec::new();
    let kinds: BTreeSet<&str> = CHILDREN.into_iter().map(|child| child.0).collect();
    for kind in kinds {
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
            forget_the_token(&mut object.data);
            forget_the_account(&mut object.data);
            let labels = object.labels().clone();
            state.push(json!([kind, object.name_any(), labels, owners, writers, object.data]));
        }
    }
    let text = Value::Array(state).to_string();
    serde_json::from_str(&text.replace(&format!("\"{namespace}\""), "\"its namespace\"")).expect("JSON")
}

/// Every fleet has its own, and with it a digest of its own.
fn forget_the_token(object: &mut Value) {
    let labels = object.pointer_mut("/spec/template/metadata/labels").and_then(Value::as_object_mut);
    labels.map(|labels| labels.remove("ttsfleet.dev/template"));
    let variables = object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut);
    if let Some(variables) = variables {
        variables.retain(|variable| variable["name"] != "TTSFLEET_ADMIN_TOKEN_SHA256");
    }
}

/// Pods that a controller has made are replaced for a new account.
fn forget_the_account(object: &mut Value) {
    let Some(metadata) = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let annotations = metadata.get("annotations").and_then(Value::as_object);
    if annotations.is_some_and(|all| all.keys().eq(["ttsfleet.dev/account"])) {
        metadata.remove("annotations");
    }
}

/// As `kubectl edit` would.
pub(crate) async fn by_hand(client: &Client, namespace: &str, kind: &str, object: &str, edit: &Value) {
    let editor = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
    api(client, namespace, kind).patch(object, &editor, &Patch::Strategic(edit)).await.expect("edited");
}

/// The names of what carries the pool's label, by kind.
pub(crate) async fn of_pool(client: &Client, namespace: &str, pool: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for kind in CHILDREN.into_iter().map(|child| child.0).collect::<BTreeSet<_>>() {
        let labelled = ListParams::default().labels(&format!("ttsfleet.dev/pool={pool}"));
        let list = api(client, namespace, kind).list(&labelled).await.expect("a list");
        found.extend(list.into_iter().map(|object| (kind.to_owned(), object.name_any())));
    }
    found
}

/// As much of the Gateway API as an HTTPRoute needs.
pub(crate) const GATEWAY_API: &str = r#"{
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "httproutes.gateway.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}
    },
    "spec": {
        "group": "gateway.networking.k8s.io", "scope": "Namespaced",
        "names": {"kind": "HTTPRoute", "plural": "httproutes"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true
        }}}]
    }
}"#;
