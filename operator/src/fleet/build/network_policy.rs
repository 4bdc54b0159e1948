//! What the pods may talk to.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::{BTreeMap, BTreeSet};
use ttsfleet_wire::pod::{HEALTH_PORT, SPEECH_PORT};

use super::children::{fleet_meta, gateway_meta};
use super::labels;
use crate::fleet::validate::Fleet;

/// Of the speech servers. In: speech from the fleet's gateway, health and
/// metrics from anywhere. Out: name resolution and, if models are fetched over
/// the network, the ports they are fetched from.
pub(super) fn of_pods(fleet: &Fleet) -> NetworkPolicy {
    let sources = fleet.pools.iter().filter_map(|pool| pool.model.source.as_ref());
    let ports: BTreeSet<u16> = sources.filter_map(|source| source_port(&source.uri)).collect();
    let mut egress = vec![name_resolution()];
    egress.extend(ports.into_iter().map(|number| out(&[("TCP", number)])));
    let ingress = vec![
        NetworkPolicyIngressRule {
            from: Some(vec![pods(labels::gateway_selector(&fleet.name))]),
            ports: Some(vec![port("TCP", SPEECH_PORT)]),
        },
        NetworkPolicyIngressRule { from: None, ports: Some(vec![port("TCP", HEALTH_PORT)]) },
    ];
    let selector = labels::pods_selector(&fleet.name);
    policy(fleet_meta(fleet, labels::INFERENCE), selector, ingress, egress)
}

/// Of the gateway. In: speech, health and metrics from anywhere. Out: name
/// resolution, the speech servers and the API server.
pub(super) fn of_gateway(fleet: &Fleet) -> NetworkPolicy {
    let egress = vec![
        name_resolution(),
        NetworkPolicyEgressRule {
            to: Some(vec![pods(labels::pods_selector(&fleet.name))]),
            ..out(&[("TCP", SPEECH_PORT), ("TCP", HEALTH_PORT)])
        },
        // The API server's address differs from cluster to cluster; its ports
        // do not.
        out(&[("TCP", 443), ("TCP", 6443)]),
    ];
    let ingress = vec![NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![port("TCP", SPEECH_PORT), port("TCP", HEALTH_PORT)]),
    }];
    policy(gateway_meta(fleet), labels::gateway_selector(&fleet.name), ingress, egress)
}

fn policy(
    metadata: ObjectMeta,
    selector: BTreeMap<String, String>,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(selector), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress),
        }),
    }
}

fn name_resolution() -> NetworkPolicyEgressRule {
    out(&[("UDP", 53), ("TCP", 53)])
}

/// To anywhere, on these ports.
fn out(ports: &[(&str, u16)]) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        ports: Some(ports.iter().map(|(protocol, number)| port(protocol, *number)).collect()),
        to: None,
    }
}

fn pods(selector: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector { match_labels: Some(selector), ..LabelSelector::default() }),
        ..NetworkPolicyPeer::default()
    }
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}

/// The port that a model address is fetched from; none if it needs no network.
fn source_port(uri: &str) -> Option<u16> {
    let (scheme, rest) = uri.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    // The colons inside the brackets of an IPv6 address are no port.
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    Some(after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::source_port;
    use rstest::rstest;

    #[rstest]
    #[case("https://models.example/hibari", Some(443))]
    #[case("http://models.example", Some(80))]
    #[case("http://models.example:8000/hibari", Some(8000))]
    #[case("https://[2001:db8::1]/hibari", Some(443))]
    #[case("https://[2001:db8::1]:8443/hibari", Some(8443))]
    #[case("file:///models/hibari", None)]
    fn the_port_of_a_source_is_found(#[case] uri: &str, #[case] port: Option<u16>) {
        assert_eq!(source_port(uri), port);
    }
}
