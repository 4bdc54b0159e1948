//! What the pods may talk to.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ttsfleet_wire::pod::{HEALTH_PORT, SPEECH_PORT};

use super::{fleet_meta, labels};
use crate::fleet::validate::Fleet;

/// In: the two ports of the server. Out: name resolution and, if the model is
/// fetched over the network, the port it is fetched from.
pub(super) fn build(fleet: &Fleet) -> NetworkPolicy {
    let mut egress = vec![NetworkPolicyEgressRule {
        ports: Some(vec![port("UDP", 53), port("TCP", 53)]),
        ..NetworkPolicyEgressRule::default()
    }];
    if let Some(number) = fleet.main.model.source.as_ref().and_then(|source| source_port(&source.uri)) {
        egress.push(NetworkPolicyEgressRule {
            ports: Some(vec![port("TCP", number)]),
            ..NetworkPolicyEgressRule::default()
        });
    }
    NetworkPolicy {
        metadata: fleet_meta(fleet),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(labels::fleet_selector(&fleet.name)),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![port("TCP", SPEECH_PORT), port("TCP", HEALTH_PORT)]),
                ..NetworkPolicyIngressRule::default()
            }]),
            egress: Some(egress),
        }),
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
