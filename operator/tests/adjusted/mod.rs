//! What a cluster's own policies make of what the operator writes is accepted,
//! told once, and costs nothing afterwards.

use k8s_openapi::api::events::v1::Event;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::TtsDeployment;
use ttsfleet_e2e::control_plane::Options;

use crate::support::narrator::{
    CHILDREN, GATEWAY_API, api, at_rest, by_hand, change, create_with, degraded, get, namespace, state,
};
use crate::support::{Cluster, Connection, eventually};

/// Where a policy shows, and what is there then.
type Mark = (&'static str, Value);

/// A policy that changes all of a namespace's objects of these kinds.
fn policy(namespace: &str, resources: &Value, patches: &str) -> String {
    let kind = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": namespace}, "spec": spec,
        })
    };
    let rule = json!({
        "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": resources,
    });
    let policy = kind(
        "MutatingAdmissionPolicy",
        json!({
            "matchConstraints": {"resourceRules": [rule]}, "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patches}}],
        }),
    );
    let here = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}});
    let binding =
        kind("MutatingAdmissionPolicyBinding", json!({"policyName": namespace, "matchResources": here}));
    json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string()
}

/// Waits until the API server follows a policy.
async fn follows(client: &Client, namespace: &str, (pointer, value): &Mark) {
    let labels = json!({"app": "probe"});
    let amounts = json!({"cpu": "1m", "memory": "1Mi"});
    let probe: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "containers": [{
                "name": "probe", "image": "registry.example/probe", "env": [{"name": "ANY", "value": "1"}],
                "resources": {"requests": amounts, "limits": amounts},
            }],
            "tolerations": [{"key": "any", "operator": "Exists"}],
        }}},
    }))
    .expect("a Deployment");
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the policy is followed", || async {
        let made = api(client, namespace, "Deployment").create(&dry_run, &probe).await.expect("accepted");
        let made = serde_json::to_value(made).expect("JSON");
        (made.pointer(pointer)? == value).then_some(())
    })
    .await;
}

async fn adjusted(client: &Client, namespace: &str) -> Option<String> {
    let fleets: Api<TtsDeployment> = Api::namespaced(client.clone(), namespace);
    let conditions = fleets.get("narrator").await.ok()?.status?.conditions;
    conditions.into_iter().find(|condition| condition.type_ == "Adjusted").map(|condition| condition.message)
}

async fn told(client: &Client, namespace: &str) -> usize {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default()).await.expect("events");
    events.iter().filter(|event| event.reason.as_deref() == Some("Adjusted")).count()
}

#[rstest]
#[case::a_sidecar(
    r#"object.spec.template.spec.containers.exists(c, c.name == "proxy") ? [] : [JSONPatch{
        op: "add", path: "/spec/template/spec/containers/-",
        value: Object.spec.template.spec.containers{name: "proxy", image: "other"}}]"#,
    ("/spec/template/spec/containers/1/name", json!("proxy")), "spec.template.spec.containers[proxy]"
)]
#[case::a_toleration(
    r#"!has(object.spec.template.spec.tolerations)
        || object.spec.template.spec.tolerations.exists(t, t.key == "arch") ? [] : [JSONPatch{
        op: "add", path: "/spec/template/spec/tolerations/-",
        value: Object.spec.template.spec.tolerations{key: "arch", operator: "Exists"}}]"#,
    ("/spec/template/spec/tolerations/1/key", json!("arch")), "spec.template.spec.tolerations[1]"
)]
#[case::a_variable(
    r#"object.spec.template.spec.containers[0].env.exists(e, e.name == "TEAM") ? [] : [JSONPatch{
        op: "add", path: "/spec/template/spec/containers/0/env/-",
        value: Object.spec.template.spec.containers.env{name: "TEAM", value: "speech"}}]"#,
    ("/spec/template/spec/containers/0/env/1/name", json!("TEAM")), "spec.template.spec.containers[server].env[TEAM]"
)]
#[case::the_images_host(
    r#"[JSONPatch{op: "replace", path: "/spec/template/spec/containers/0/image",
        value: object.spec.template.spec.containers[0].image.replace("registry.example", "mirror.example")}]"#,
    ("/spec/template/spec/containers/0/image", json!("mirror.example/probe")), "spec.template.spec.containers[server].image"
)]
#[case::raised_resources(
    r#"["requests", "limits"].map(kind, JSONPatch{op: "replace",
        path: "/spec/template/spec/containers/0/resources/" + kind + "/cpu", value: "5"})"#,
    ("/spec/template/spec/containers/0/resources/limits/cpu", json!("5")), "resources.requests.cpu"
)]
#[case::labels(
    r#"[JSONPatch{op: "add", path: "/metadata/labels/team", value: "speech"},
        JSONPatch{op: "add", path: "/spec/template/metadata/labels/team", value: "speech"}]"#,
    ("/spec/template/metadata/labels/team", json!("speech")), ""
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_changes_is_accepted_and_told_once(
    #[case] patches: &str,
    #[case] mark: Mark,
    #[case] field: &str,
) {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "adjusted");
    namespace(&client, name).await;
    cluster.plane.apply(&policy(name, &json!(["deployments"]), patches)).expect("the policy is accepted");
    follows(&client, name, &mark).await;
    let tolerations = json!([{"key": "speech", "operator": "Exists"}]);
    let pool = json!({"name": "main", "scheduling": {"tolerations": tolerations}});
    create_with(&client, name, json!({"pools": [pool]})).await;
    let running = cluster.operator(name, Connection::default());
    at_rest(&running).await;
    let before = get(&client, name, "Deployment", "narrator-main").await.expect("the pods");
    let children = state(&client, name).await.as_array().map(Vec::len);
    assert_eq!(children, Some(CHILDREN.len()), "nothing is left out for it");
    assert_eq!(degraded(&client, name).await, None, "nothing is wrong with it");
    let message = adjusted(&client, name).await.unwrap_or_default();
    assert!(message.contains(field), "{message}");
    let is_told = usize::from(!message.is_empty());
    assert_eq!(told(&client, name).await, is_told);

    change(&client, name, json!({"limits": {"maxInputChars": 123}})).await;
    eventually("the gateway gets its routes", || async {
        let routes = get(&client, name, "ConfigMap", "narrator-gateway").await?;
        routes.data["data"]["route.json"].as_str()?.contains("\"maxInputChars\":123").then_some(())
    })
    .await;
    at_rest(&running).await;
    drop(running);

    // A new operator finds out again, and changes nothing.
    let running = cluster.operator(name, Connection::default());
    let writes = at_rest(&running).await;
    assert!(writes <= 10, "{writes} writes");
    by_hand(&client, name, "Deployment", "narrator-main", &json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert_eq!(at_rest(&running).await, writes, "a fleet at rest costs no writes");
    let after = get(&client, name, "Deployment", "narrator-main").await.expect("the pods");
    assert_eq!(after.data["spec"], before.data["spec"], "no pod is replaced");
    assert_eq!(after.metadata.generation, before.metadata.generation);
    assert_eq!(told(&client, name).await, is_told, "it is told once");

    // It is no licence for others.
    by_hand(&client, name, "Deployment", "narrator-main", &json!({"spec": {"replicas": 9}})).await;
    eventually("an edit is put right", || async {
        let now = get(&client, name, "Deployment", "narrator-main").await?;
        (now.data["spec"] == before.data["spec"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_of_one_gateway_are_no_difference() {
    let cluster = Cluster::start(Options::default()).await;
    let (client, name) = (cluster.client(), "listeners");
    namespace(&client, name).await;
    cluster.plane.apply(GATEWAY_API).expect("the definition is accepted");
    let listeners =
        json!([{"name": "edge", "sectionName": "http"}, {"name": "edge", "sectionName": "https"}]);
    create_with(&client, name, json!({"expose": {"httpRoute": {"parentRefs": listeners}}})).await;
    let running = cluster.operator(name, Connection::default());
    let route = eventually("the route is made", || get(&client, name, "HTTPRoute", "narrator")).await;
    assert_eq!(route.data["spec"]["parentRefs"], listeners);
    at_rest(&running).await;
    assert_eq!(degraded(&client, name).await, None);
    let now = get(&client, name, "HTTPRoute", "narrator").await.expect("the route");
    assert_eq!(now.resource_version(), route.resource_version(), "it is written once");
}
