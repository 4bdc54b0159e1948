//! One speech server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    HTTPGetAction, KeyToPath, Lifecycle, LifecycleHandler, PodSecurityContext, PodSpec, Probe,
    ResourceRequirements, SeccompProfile, SecurityContext, SleepAction, TopologySpreadConstraint, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ttsfleet_crds::amount::Memory;
use ttsfleet_wire::{model::MODEL_KEY, pod};

use super::{Settings, gpu, labels};
use crate::fleet::validate::{Fleet, FleetPool};

/// Name of the only container.
pub(crate) const CONTAINER: &str = "server";
/// Name of the port of the speech API.
pub(super) const SPEECH_PORT_NAME: &str = "http";
/// How long a server may take to fetch and load its model.
pub(super) const START_SECONDS: i32 = 1800;

const HEALTH_PORT_NAME: &str = "health";
const MODEL_FOLDER: &str = "/etc/ttsfleet";
const STORE_FOLDER: &str = "/var/lib/ttsfleet";

/// Time for the Service's endpoints to forget a stopping pod before it stops
/// taking requests.
const ENDPOINT_SECONDS: u32 = 3;
/// Time to end after the last request, before the kubelet kills.
const EXIT_SECONDS: u32 = 5;
/// Disk that the store leaves for logs and the container's own files.
const DISK_RESERVE: u64 = 64 << 20;
const USER: i64 = 65532;

pub(super) fn build(fleet: &Fleet, settings: &Settings) -> PodSpec {
    let pool = &fleet.main;
    PodSpec {
        service_account_name: Some(fleet.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(i64::from(
            ENDPOINT_SECONDS + fleet.drain_seconds + EXIT_SECONDS,
        )),
        priority_class_name: pool.priority_class_name.clone(),
        node_selector: Some(pool.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(pool.tolerations.clone()).filter(|taints| !taints.is_empty()),
        affinity: gpu::affinity(pool.gpu),
        topology_spread_constraints: pool.topology_spread.then(|| vec![spread(fleet)]),
        containers: vec![container(fleet, settings)],
        volumes: Some(volumes(fleet)),
        ..PodSpec::default()
    }
}

fn container(fleet: &Fleet, settings: &Settings) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(format!("{:?}", settings.pull_policy)),
        env: Some(environment(fleet)),
        ports: Some(vec![port(SPEECH_PORT_NAME, pod::SPEECH_PORT), port(HEALTH_PORT_NAME, pod::HEALTH_PORT)]),
        resources: Some(resources(&fleet.main)),
        // Looked at every second, so that a quick start is noticed at once.
        startup_probe: Some(probe("/readyz", 1, START_SECONDS)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: i64::from(ENDPOINT_SECONDS) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            VolumeMount {
                name: "model".to_owned(),
                mount_path: MODEL_FOLDER.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            },
            VolumeMount {
                name: "store".to_owned(),
                mount_path: STORE_FOLDER.to_owned(),
                ..VolumeMount::default()
            },
        ]),
        ..Container::default()
    }
}

fn environment(fleet: &Fleet) -> Vec<EnvVar> {
    let mut variables = vec![
        env(pod::ENV_MODEL_FILE, format!("{MODEL_FOLDER}/{MODEL_KEY}")),
        env(pod::ENV_STORE, STORE_FOLDER.to_owned()),
        env(pod::ENV_WORKERS, fleet.main.workers.to_string()),
        env(pod::ENV_MAX_CONCURRENCY, fleet.main.max_concurrency.to_string()),
        env(pod::ENV_DRAIN_SECONDS, fleet.drain_seconds.to_string()),
    ];
    variables.extend(gpu::env(fleet.main.gpu));
    variables
}

/// Requests and limits from the same values, which makes the pod Guaranteed.
fn resources(pool: &FleetPool) -> ResourceRequirements {
    let mut amounts: BTreeMap<String, Quantity> = [
        ("cpu".to_owned(), Quantity(pool.cpu.to_string())),
        ("memory".to_owned(), Quantity(pool.memory.to_string())),
        ("ephemeral-storage".to_owned(), Quantity(pool.ephemeral_storage.to_string())),
    ]
    .into();
    if let Some(count) = gpu::count(pool.gpu) {
        amounts.insert(gpu::RESOURCE.to_owned(), Quantity(count.to_string()));
    }
    ResourceRequirements { requests: Some(amounts.clone()), limits: Some(amounts), claims: None }
}

fn volumes(fleet: &Fleet) -> Vec<Volume> {
    let store = Memory::from_bytes(fleet.main.ephemeral_storage.bytes().saturating_sub(DISK_RESERVE));
    vec![
        Volume {
            name: "model".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: labels::pool_object(&fleet.name, &fleet.main.name),
                items: Some(vec![KeyToPath {
                    key: MODEL_KEY.to_owned(),
                    path: MODEL_KEY.to_owned(),
                    mode: None,
                }]),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "store".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(store.to_string())),
                medium: None,
            }),
            ..Volume::default()
        },
    ]
}

fn spread(fleet: &Fleet) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::pool_selector(&fleet.name, &fleet.main.name)),
            ..LabelSelector::default()
        }),
        // Old pods of a rollout do not count, or the new ones would end up askew.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
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

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A variable with a plain value.
pub(super) fn env(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), value_from: None }
}
