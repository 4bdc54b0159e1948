//! One speech server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, Lifecycle, LifecycleHandler,
    PodSpec, ResourceRequirements, SleepAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use ttsfleet_crds::amount::Memory;
use ttsfleet_wire::{model::MODEL_KEY, pod};

use super::children::Settings;
use super::container::{self, ENDPOINT_SECONDS, HEALTH_PORT_NAME, SPEECH_PORT_NAME, env};
use super::{gpu, labels};
use crate::fleet::validate::{Fleet, FleetPool};

/// Name of the only container.
pub(crate) const CONTAINER: &str = "server";
/// How long a server may take to fetch and load its model.
pub(super) const START_SECONDS: i32 = 1800;

const MODEL_FOLDER: &str = "/etc/ttsfleet";
const STORE_FOLDER: &str = "/var/lib/ttsfleet";

/// Disk that the store leaves for logs and the container's own files.
const DISK_RESERVE: u64 = 64 << 20;

pub(super) fn build(fleet: &Fleet, pool: &FleetPool, settings: &Settings) -> PodSpec {
    let selector = || labels::pool_selector(&fleet.name, &pool.name);
    PodSpec {
        service_account_name: Some(fleet.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(container::pod_security()),
        termination_grace_period_seconds: Some(container::grace_seconds(fleet.drain_seconds)),
        priority_class_name: pool.priority_class_name.clone(),
        node_selector: Some(pool.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(pool.tolerations.clone()).filter(|taints| !taints.is_empty()),
        affinity: gpu::affinity(fleet, pool),
        topology_spread_constraints: pool.topology_spread.then(|| vec![container::spread(selector())]),
        containers: vec![server(fleet, pool, settings)],
        volumes: Some(volumes(fleet, pool)),
        ..PodSpec::default()
    }
}

fn server(fleet: &Fleet, pool: &FleetPool, settings: &Settings) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.inference_image.clone()),
        image_pull_policy: Some(format!("{:?}", settings.pull_policy)),
        env: Some(environment(fleet, pool)),
        ports: Some(vec![
            container::port(SPEECH_PORT_NAME, pod::SPEECH_PORT),
            container::port(HEALTH_PORT_NAME, pod::HEALTH_PORT),
        ]),
        resources: Some(resources(pool)),
        // Looked at every second, so that a quick start is noticed at once.
        startup_probe: Some(container::probe("/readyz", 1, START_SECONDS)),
        readiness_probe: Some(container::probe("/readyz", 2, 2)),
        liveness_probe: Some(container::probe("/healthz", 10, 3)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: i64::from(ENDPOINT_SECONDS) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(container::security()),
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

fn environment(fleet: &Fleet, pool: &FleetPool) -> Vec<EnvVar> {
    let mut variables = vec![
        env(pod::ENV_MODEL_FILE, format!("{MODEL_FOLDER}/{MODEL_KEY}")),
        env(pod::ENV_STORE, STORE_FOLDER),
        env(pod::ENV_WORKERS, pool.workers.to_string()),
        env(pod::ENV_MAX_CONCURRENCY, pool.max_concurrency.to_string()),
        env(pod::ENV_MAX_QUEUE_DEPTH, pool.max_queue_depth.to_string()),
        env(pod::ENV_BUSY_SECONDS, fleet.busy_seconds.to_string()),
        env(pod::ENV_DRAIN_SECONDS, fleet.drain_seconds.to_string()),
        env(pod::ENV_LOG_FORMAT, container::log_format(fleet.log_format)),
    ];
    variables.extend(gpu::env(pool.gpu));
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

fn volumes(fleet: &Fleet, pool: &FleetPool) -> Vec<Volume> {
    let store = Memory::from_bytes(pool.ephemeral_storage.bytes().saturating_sub(DISK_RESERVE));
    vec![
        Volume {
            name: "model".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: labels::pool_object(&fleet.name, &pool.name),
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
