//! What leads to the fleet from outside the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use ttsfleet_crds::HttpRoute;

use super::children::fleet_meta;
use super::labels;
use super::service::FLEET_PORT;
use crate::fleet::validate::Fleet;
use crate::gateway_api::{HTTPRoute, HTTPRouteSpec};

/// Largest body that the servers read.
const LARGEST_BODY: &str = "1m";

/// An Ingress whose patience ingress-nginx reads from its annotations.
pub(super) fn ingress(fleet: &Fleet, ingress: &ttsfleet_crds::Ingress) -> Ingress {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: fleet.name.clone(),
            port: Some(ServiceBackendPort { number: Some(FLEET_PORT), name: None }),
        }),
        resource: None,
    };
    let everything = HTTPIngressPath { path: Some("/".to_owned()), path_type: "Prefix".to_owned(), backend };
    Ingress {
        metadata: ObjectMeta { annotations: Some(nginx(fleet)), ..fleet_meta(fleet, labels::GATEWAY) },
        spec: Some(IngressSpec {
            ingress_class_name: ingress.ingress_class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(ingress.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![everything] }),
            }]),
            tls: ingress.tls_secret_name.as_ref().map(|secret| {
                vec![IngressTLS {
                    hosts: Some(vec![ingress.host.clone()]),
                    secret_name: Some(secret.clone()),
                }]
            }),
            ..IngressSpec::default()
        }),
        status: None,
    }
}

/// Audio is passed on as it comes, so nothing is buffered.
fn nginx(fleet: &Fleet) -> BTreeMap<String, String> {
    let entry = whole_seconds(fleet.expose.entry_timeout);
    let gateway = whole_seconds(fleet.expose.gateway_timeout);
    [
        ("proxy-read-timeout", entry.as_str()),
        ("proxy-send-timeout", &entry),
        ("proxy-next-upstream-timeout", &gateway),
        ("proxy-buffering", "off"),
        ("proxy-body-size", LARGEST_BODY),
    ]
    .map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), value.to_owned()))
    .into()
}

/// An HTTPRoute of the Gateway API.
pub(super) fn http_route(fleet: &Fleet, route: &HttpRoute) -> HTTPRoute {
    let parents = route.parent_refs.iter().map(|parent| {
        let mut reference = json!({"name": parent.name});
        if let Some(namespace) = &parent.namespace {
            reference["namespace"] = json!(namespace);
        }
        if let Some(section) = &parent.section_name {
            reference["sectionName"] = json!(section);
        }
        reference
    });
    HTTPRoute {
        metadata: fleet_meta(fleet, labels::GATEWAY),
        spec: HTTPRouteSpec {
            parent_refs: parents.collect(),
            hostnames: route.hostnames.clone(),
            rules: vec![json!({
                "backendRefs": [{"name": fleet.name, "port": FLEET_PORT}],
                "timeouts": {
                    "request": exact(fleet.expose.entry_timeout),
                    "backendRequest": exact(fleet.expose.gateway_timeout),
                },
            })],
        },
    }
}

fn whole_seconds(duration: Duration) -> String {
    duration.as_millis().div_ceil(1000).to_string()
}

/// In the Gateway API's notation, which has no fractions.
fn exact(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        milliseconds => format!("{}s{milliseconds}ms", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_seconds_are_kept_or_rounded_up_never_cut() {
        let duration = Duration::from_millis(1500);
        assert_eq!((exact(duration).as_str(), whole_seconds(duration).as_str()), ("1s500ms", "2"));
        assert_eq!(exact(Duration::from_secs(35)), "35s");
    }
}
