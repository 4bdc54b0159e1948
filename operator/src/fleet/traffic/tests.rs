use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};

use super::*;
use crate::fleet::validate::validate;

fn fleet() -> Fleet {
    let mut object = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
    object.metadata.namespace = Some("studio".to_owned());
    object.metadata.uid = Some("0b0e".to_owned());
    validate(&object).expect("a valid spec")
}

fn pod(name: &str, ready: bool) -> Arc<Pod> {
    let status = if ready { "True" } else { "False" };
    let value = json!({
        "metadata": {"name": name, "uid": name, "labels": {"ttsfleet.dev/pool": "main"}},
        "status": {"conditions": [{"type": "Ready", "status": status}]},
    });
    Arc::new(serde_json::from_value(value).expect("a pod"))
}

fn to(name: &str, ready: bool) -> Value {
    let target = json!({"kind": "Pod", "name": name, "uid": name});
    json!({"addresses": ["10.1.0.9"], "conditions": {"ready": ready}, "targetRef": target})
}

fn slice(service: &str, endpoints: Value) -> Arc<EndpointSlice> {
    let value = json!({
        "metadata": {"name": "a", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints,
    });
    Arc::new(serde_json::from_value(value).expect("a slice"))
}

fn found(pods: Vec<Arc<Pod>>, endpoints: Vec<Arc<EndpointSlice>>) -> Vec<String> {
    let live = Live { pods, endpoints, ..Live::default() };
    let lasting: Vec<Difference> = differences(&fleet(), &live).into_iter().collect();
    problems(&fleet(), &lasting)
        .into_iter()
        .map(|problem| format!("{}: {}", problem.reason, problem.message))
        .collect()
}

#[rstest]
#[case::all_is_well(vec![pod("a", true)], json!([to("a", true)]), None)]
#[case::one_starts(vec![pod("a", true), pod("b", false)], json!([to("a", true), to("b", false)]), None)]
#[case::a_stray_that_does_not_answer(vec![pod("a", true)], json!([to("a", true), to("x", false)]), None)]
#[case::a_stray(
    vec![pod("a", true)], json!([to("a", true), to("x", true)]),
    Some("StrayPod: Pod x answers callers as pool main without being one of this fleet's: delete it")
)]
#[case::an_address_by_hand(
    vec![pod("a", true)], json!([to("a", true), {"addresses": ["10.1.0.9"]}]),
    Some("StrayPod: Address 10.1.0.9 answers callers")
)]
#[case::left_out(
    vec![pod("a", true), pod("b", true)], json!([to("a", true)]),
    Some("EndpointsDiffer: No request reaches b of pool main")
)]
#[case::still_there(
    vec![pod("a", false)], json!([to("a", true)]),
    Some("EndpointsDiffer: Requests are sent to a of pool main")
)]
fn what_is_counted_is_held_against_what_traffic_sees(
    #[case] pods: Vec<Arc<Pod>>,
    #[case] endpoints: Value,
    #[case] expected: Option<&str>,
) {
    let found = found(pods, vec![slice("narrator-main", endpoints)]);
    assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
    assert!(expected.is_none_or(|expected| found[0].starts_with(expected)), "{found:?}");
}

#[test]
fn a_pool_without_any_endpoints_is_told() {
    let found =
        found(vec![pod("a", true), pod("b", true)], vec![slice("narrator-other", json!([to("a", true)]))]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("No request reaches a, b of pool main"), "{found:?}");
}

#[test]
fn whoever_takes_the_gateways_place_is_told() {
    let found = found(vec![], vec![slice("narrator", json!([to("x", true)]))]);
    assert!(found[0].contains("Pod x answers callers as the gateway"), "{found:?}");
}

#[test]
fn ready_pods_that_nobody_reaches_do_not_count_as_serving() {
    let live = Live { pods: vec![pod("a", true), pod("b", true)], ..Live::default() };
    let lasting: Vec<Difference> = differences(&fleet(), &live).into_iter().collect();
    assert_eq!(unreached(&lasting), BTreeMap::from([("main".to_owned(), 2)]));
}
