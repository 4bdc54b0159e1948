//! Addresses: the fleet's for callers, the pools' and the judges' for the
//! gateway, those of trials' pods for the judges.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ttsfleet_wire::pod::SPEECH_PORT;

use super::children::{fleet_meta, pool_meta, trial_meta};
use super::container::SPEECH_PORT_NAME;
use super::labels;
use crate::fleet::validate::{Fleet, FleetPool};

/// Port of the fleet's Service.
pub(super) const FLEET_PORT: i32 = 80;

/// A Service before the gateway.
pub(super) fn of_fleet(fleet: &Fleet) -> Service {
    Service {
        metadata: fleet_meta(fleet, labels::GATEWAY),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            // IPv4 and IPv6, or what the cluster has of them.
            ip_family_policy: Some("PreferDualStack".to_owned()),
            selector: Some(labels::gateway_selector(&fleet.name)),
            ports: Some(vec![http(FLEET_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// A Service without an address: the gateway finds the pool's pods by its
/// EndpointSlices, which carry its labels, and chooses among them itself.
pub(super) fn of_pool(fleet: &Fleet, pool: &FleetPool) -> Service {
    headless(pool_meta(fleet, pool), labels::pool_selector(&fleet.name, &pool.name))
}

/// The same for a part of the pool's trial.
pub(super) fn of_trial(fleet: &Fleet, pool: &FleetPool, part: &str) -> Service {
    headless(trial_meta(fleet, pool, part), labels::trial_selector(&fleet.name, &pool.name, part))
}

fn headless(metadata: ObjectMeta, selector: BTreeMap<String, String>) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            selector: Some(selector),
            ports: Some(vec![http(i32::from(SPEECH_PORT))]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn http(port: i32) -> ServicePort {
    ServicePort {
        name: Some("http".to_owned()),
        protocol: Some("TCP".to_owned()),
        app_protocol: Some("http".to_owned()),
        port,
        target_port: Some(IntOrString::String(SPEECH_PORT_NAME.to_owned())),
        ..ServicePort::default()
    }
}
