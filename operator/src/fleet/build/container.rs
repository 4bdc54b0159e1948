//! What the containers of servers and gateways have in common.

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerPort, EnvVar, HTTPGetAction, LocalObjectReference, PodSecurityContext, Probe,
    ResourceRequirements, SeccompProfile, SecurityContext, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use ttsfleet_crds::{LogFormat, Traces};
use ttsfleet_wire::observability;

use super::children::Settings;
use super::gpu;
use crate::fleet::validate::Fleet;

/// Name of the port of the speech API.
pub(super) const SPEECH_PORT_NAME: &str = "http";
/// Name of the port of health and metrics.
pub(super) const HEALTH_PORT_NAME: &str = "health";

/// Time for the Services' endpoints to forget a stopping pod before it stops
/// taking requests.
pub(super) const ENDPOINT_SECONDS: u32 = 3;

/// Time to end after the last request, before the kubelet kills.
const EXIT_SECONDS: u32 = 5;
const USER: i64 = 65532;

/// How long a pod has to stop.
pub(super) fn grace_seconds(drain_seconds: u32) -> i64 {
    i64::from(ENDPOINT_SECONDS + drain_seconds + EXIT_SECONDS)
}

/// The restricted profile, as far as it is the pod's.
pub(super) fn pod_security(settings: &Settings) -> PodSecurityContext {
    let user = (!settings.assigns_users).then_some(USER);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// What the images are pulled with.
pub(super) fn pull_secrets(settings: &Settings) -> Option<Vec<LocalObjectReference>> {
    let secrets = settings.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    Some(secrets.collect()).filter(|secrets: &Vec<_>| !secrets.is_empty())
}

/// The restricted profile, as far as it is the container's.
pub(super) fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// Spreads pods over nodes as far as the nodes allow.
pub(super) fn spread(selector: BTreeMap<String, String>) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector { match_labels: Some(selector), ..LabelSelector::default() }),
        // Old pods of a rollout do not count, or the new ones would end up askew.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

/// Asks the health port.
pub(super) fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(HEALTH_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Requests and limits from the same values, which makes the pod Guaranteed.
pub(super) fn resources(
    cpu: impl ToString,
    memory: impl ToString,
    disk: impl ToString,
    gpus: Option<i32>,
) -> ResourceRequirements {
    let amounts =
        [("cpu", cpu.to_string()), ("memory", memory.to_string()), ("ephemeral-storage", disk.to_string())];
    let amounts = amounts.into_iter().chain(gpus.map(|count| (gpu::RESOURCE, count.to_string())));
    let amounts: BTreeMap<_, _> = amounts.map(|(name, amount)| (name.to_owned(), Quantity(amount))).collect();
    ResourceRequirements { requests: Some(amounts.clone()), limits: Some(amounts), claims: None }
}

/// A TCP port.
pub(super) fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A variable with a plain value.
pub(super) fn env(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

/// What servers are told of where traces go.
pub(super) fn traces(fleet: &Fleet) -> Vec<EnvVar> {
    let Some(Traces { endpoint, percent }) = &fleet.traces else { return vec![] };
    let ratio = f64::from(*percent) / 100.0;
    vec![
        env(observability::ENV_OTLP_ENDPOINT, endpoint),
        env(observability::ENV_TRACE_RATIO, ratio.to_string()),
    ]
}

/// Few heaps for glibc: by default it keeps eight for each core of the node, and
/// each holds on to a part of what has been freed, of models above all.
pub(super) fn few_heaps() -> EnvVar {
    env("MALLOC_ARENA_MAX", "2")
}

/// What servers are told of the form of their log lines.
pub(super) fn log_format(fleet: &Fleet) -> EnvVar {
    let format = match fleet.log_format {
        LogFormat::Template => "template",
        LogFormat::Json => "json",
    };
    env(observability::ENV_LOG_FORMAT, format)
}
