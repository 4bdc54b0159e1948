//! `examples/incident.yaml` asks for the incident report's values, and these
//! are what gateway and pods are told.

use ttsfleet_wire::route::{OnExhausted, OnOverflow, TextLimits};

use super::*;

const EXAMPLE: &str = include_str!("../../../../../../examples/incident.yaml");

/// The example, exposed in every way there is.
fn example() -> Wanted {
    let example: TtsDeployment = serde_yaml::from_str(EXAMPLE).expect("a TtsDeployment");
    wanted(|spec| {
        *spec = example.spec;
        spec.expose.ingress = Some(Ingress {
            host: "speech.example.com".to_owned(),
            ingress_class_name: None,
            tls_secret_name: None,
        });
        let parent = ParentRef { name: "edge".to_owned(), namespace: None, section_name: None };
        spec.expose.http_route = Some(HttpRoute { parent_refs: vec![parent], hostnames: vec![] });
    })
}

#[test]
fn the_gateway_is_told_the_incident_reports_values() {
    let text = child(&example(), "ConfigMap", "narrator-gateway")["data"][ROUTE_KEY].clone();
    let table: RouteTable = serde_json::from_str(text.as_str().expect("text")).expect("a route table");
    let limits = TextLimits { max_input_chars: 600, on_overflow: OnOverflow::Truncate, hard_limit: 4096 };
    assert_eq!(table.limits, limits);
    assert_eq!((table.timeouts.attempt_ms, table.timeouts.total_ms), (3_000, 9_000));
    let retries = &table.retries;
    assert_eq!((retries.attempts, retries.initial_backoff_ms, retries.max_backoff_ms), (3, 500, 2_000));
    let slow = &table.breaker;
    assert_eq!((slow.ratio_percent, slow.threshold_ms, slow.recovery_ms), (50, 1_500, 5_000));
    assert_eq!(table.on_exhausted, OnExhausted::EmptyAudio);
    assert_eq!(table.tiers[0].on_exhausted, None, "and no tier says otherwise");
}

#[test]
fn the_pods_are_told_the_incident_reports_values() {
    let pods = child(&example(), "Deployment", "narrator-main")["spec"]["template"]["spec"].clone();
    let told = |name: &str| variable(&pods, name).and_then(|value| value.as_str().map(str::to_owned));
    for (name, value) in [
        ("TTSFLEET_WORKERS", "8"),
        ("TTSFLEET_MAX_CONCURRENCY", "30"),
        ("TTSFLEET_MAX_QUEUE_DEPTH", "20"),
        ("TTSFLEET_BUSY_SECONDS", "10"),
    ] {
        assert_eq!(told(name).as_deref(), Some(value), "{name}");
    }
    let resources = &pods["containers"][0]["resources"];
    assert_eq!(
        (&resources["requests"]["memory"], &resources["limits"]["memory"]),
        (&json!("8Gi"), &json!("8Gi"))
    );
    assert_eq!(resources["limits"]["nvidia.com/gpu"], "1");
}

#[test]
fn those_before_the_gateway_are_told_how_long_to_wait() {
    let wanted = example();
    let route = &child(&wanted, "HTTPRoute", "narrator")["spec"]["rules"][0]["timeouts"];
    assert_eq!((&route["backendRequest"], &route["request"]), (&json!("15s"), &json!("35s")));
    let ingress = child(&wanted, "Ingress", "narrator")["metadata"]["annotations"].clone();
    assert_eq!(ingress["nginx.ingress.kubernetes.io/proxy-next-upstream-timeout"], "15");
    assert_eq!(ingress["nginx.ingress.kubernetes.io/proxy-read-timeout"], "35");
}
