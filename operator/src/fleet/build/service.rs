//! The fleet's address.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{fleet_meta, labels, pod::SPEECH_PORT_NAME};
use crate::fleet::validate::Fleet;

/// A Service on port 80 before the main pool.
pub(super) fn build(fleet: &Fleet) -> Service {
    Service {
        metadata: fleet_meta(fleet),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels::pool_selector(&fleet.name, &fleet.main.name)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("http".to_owned()),
                port: 80,
                target_port: Some(IntOrString::String(SPEECH_PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
