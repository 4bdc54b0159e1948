//! What the pods may talk to.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ttsfleet_wire::judge;
use ttsfleet_wire::pod::{ADMIN_PORT, HEALTH_PORT, SPEECH_PORT};

use super::children::{Settings, fleet_meta, gateway_meta, trial_meta};
use super::labels::{self, BASELINE, GATEWAY, INFERENCE, JUDGE, SHADOW};
use super::plan::PoolPlan;
use super::reach::{Reach, named_port, reach};
use crate::fleet::validate::{Fleet, FleetPool};

/// Of the speech servers, those of trials among them. In: speech from the
/// fleet's gateway and judges, orders from the operator, health and metrics from
/// anywhere. Out: name resolution, where traces go and, if models are fetched
/// over the network, what they are fetched from.
pub(super) fn of_pods(fleet: &Fleet, settings: &Settings, plans: &[PoolPlan]) -> NetworkPolicy {
    let models = fleet.pools.iter().zip(plans).flat_map(|(pool, plan)| plan.models(&pool.model));
    let mut egress = vec![name_resolution()];
    egress.extend(fetching(reach(models)));
    egress.extend(collector(fleet));
    let ingress = vec![
        from(vec![parts(fleet, &[GATEWAY, JUDGE])], SPEECH_PORT),
        from(vec![operator(settings)], ADMIN_PORT),
        NetworkPolicyIngressRule { from: None, ports: Some(vec![port("TCP", HEALTH_PORT)]) },
    ];
    let selector = selector_of(fleet, &[INFERENCE, SHADOW, BASELINE]);
    policy(fleet_meta(fleet, INFERENCE), selector, ingress, egress)
}

/// Of the gateway. In: speech, health and metrics from anywhere. Out: name
/// resolution, the speech servers, the judges, the other gateways, the API server,
/// where traces go.
pub(super) fn of_gateway(fleet: &Fleet) -> NetworkPolicy {
    let to_parts = |names, ports: &[(&str, u16)]| NetworkPolicyEgressRule {
        to: Some(vec![parts(fleet, names)]),
        ..out(ports)
    };
    let mut egress = vec![
        name_resolution(),
        to_parts(&[INFERENCE], &[("TCP", SPEECH_PORT), ("TCP", HEALTH_PORT)]),
        to_parts(&[JUDGE], &[("TCP", judge::PORT), ("TCP", judge::HEALTH_PORT)]),
        to_parts(&[GATEWAY], &[("TCP", HEALTH_PORT)]),
        // The API server's address differs from cluster to cluster; its ports
        // do not.
        out(&[("TCP", 443), ("TCP", 6443)]),
    ];
    egress.extend(collector(fleet));
    let ingress = vec![NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![port("TCP", SPEECH_PORT), port("TCP", HEALTH_PORT)]),
    }];
    policy(gateway_meta(fleet), matching(labels::gateway_selector(&fleet.name)), ingress, egress)
}

/// Of a pool's judge. In: requests from the gateway, questions from the operator,
/// health and metrics from anywhere. Out: name resolution, and the speech servers
/// that it puts texts to.
pub(super) fn of_judge(fleet: &Fleet, pool: &FleetPool, settings: &Settings) -> NetworkPolicy {
    let speech = NetworkPolicyEgressRule {
        to: Some(vec![parts(fleet, &[INFERENCE, SHADOW, BASELINE])]),
        ..out(&[("TCP", SPEECH_PORT)])
    };
    let ingress = vec![
        from(vec![parts(fleet, &[GATEWAY]), operator(settings)], judge::PORT),
        NetworkPolicyIngressRule { from: None, ports: Some(vec![port("TCP", judge::HEALTH_PORT)]) },
    ];
    let selector = matching(labels::trial_selector(&fleet.name, &pool.name, JUDGE));
    policy(trial_meta(fleet, pool, JUDGE), selector, ingress, vec![name_resolution(), speech])
}

/// What models are fetched from: their addresses are not known, their ports are.
fn fetching(reach: Reach) -> Vec<NetworkPolicyEgressRule> {
    match reach {
        Reach::Ports(ports) => ports.into_iter().map(|number| out(&[("TCP", number)])).collect(),
        Reach::Anywhere => {
            let any = NetworkPolicyPort { protocol: Some("TCP".to_owned()), port: None, end_port: None };
            vec![NetworkPolicyEgressRule { ports: Some(vec![any]), to: None }]
        }
    }
}

fn policy(
    metadata: ObjectMeta,
    selector: LabelSelector,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}

fn name_resolution() -> NetworkPolicyEgressRule {
    out(&[("UDP", 53), ("TCP", 53)])
}

/// To where traces go.
fn collector(fleet: &Fleet) -> Option<NetworkPolicyEgressRule> {
    let endpoint = fleet.traces.as_ref()?.endpoint.strip_prefix("http://")?;
    Some(out(&[("TCP", named_port(endpoint).unwrap_or(80))]))
}

/// To anywhere, on these ports.
fn out(ports: &[(&str, u16)]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports.iter().map(|(protocol, number)| port(protocol, *number)).collect()),
        to: None,
    }
}

/// From these, on one port.
fn from(peers: Vec<NetworkPolicyPeer>, number: u16) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule { from: Some(peers), ports: Some(vec![port("TCP", number)]) }
}

/// Pods of these parts of the fleet.
fn parts(fleet: &Fleet, names: &[&str]) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(selector_of(fleet, names)), ..NetworkPolicyPeer::default() }
}

/// The operator's pods, in their own namespace.
fn operator(settings: &Settings) -> NetworkPolicyPeer {
    let (key, name) = labels::OPERATOR;
    let own = ("kubernetes.io/metadata.name".to_owned(), settings.namespace.clone());
    NetworkPolicyPeer {
        namespace_selector: Some(matching([own].into())),
        pod_selector: Some(matching([(key.to_owned(), name.to_owned())].into())),
        ..NetworkPolicyPeer::default()
    }
}

fn selector_of(fleet: &Fleet, names: &[&str]) -> LabelSelector {
    let one_of = LabelSelectorRequirement {
        key: labels::COMPONENT.to_owned(),
        operator: "In".to_owned(),
        values: Some(names.iter().map(|&name| name.to_owned()).collect()),
    };
    LabelSelector {
        match_labels: Some(labels::any_pods_selector(&fleet.name)),
        match_expressions: Some(vec![one_of]),
    }
}

fn matching(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}
