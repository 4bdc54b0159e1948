//! One speech server: of a pool, or of the shadow that a model is tried in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, KeyToPath, Lifecycle, LifecycleHandler,
    PodSpec, PodTemplateSpec, SleepAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};
use ttsfleet_crds::{Marking, OnUnspeakable, amount::Memory};
use ttsfleet_wire::{model::MODEL_KEY, pod};

use super::children::Settings;
use super::container::{self, ENDPOINT_SECONDS, HEALTH_PORT_NAME, SPEECH_PORT_NAME, env};
use super::gpu;
use super::mounts::Mounts;
use crate::fleet::validate::{Fleet, FleetPool};

/// Name of the only container.
pub(crate) const CONTAINER: &str = "server";
/// How long a server may take to fetch and load its model.
pub(super) const START_SECONDS: i32 = 1800;

const MODEL_FOLDER: &str = "/etc/ttsfleet";
const STORE_FOLDER: &str = "/var/lib/ttsfleet";

/// Name of the port of the admin API.
const ADMIN_PORT_NAME: &str = "admin";

/// Disk that the store leaves for logs and the container's own files.
const DISK_RESERVE: u64 = 64 << 20;

/// Whose pod it is.
pub(super) struct Place<'a> {
    /// Labels of the pod.
    pub(super) labels: BTreeMap<String, String>,
    /// Those of them that find its like.
    pub(super) selector: BTreeMap<String, String>,
    /// ConfigMap with the model that it loads at start.
    pub(super) config: String,
    /// What it needs mounted for this and other models.
    pub(super) mounts: &'a Mounts,
}

/// The template of the pods, without a word about which model they serve: what
/// they load at start and change to later is said outside of it.
pub(super) fn template(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    place: Place<'_>,
) -> PodTemplateSpec {
    let spec = spec(fleet, pool, settings, &place);
    let mut labels = place.labels;
    labels.extend(gpu::sharing(pool.gpu));
    let metadata = ObjectMeta { labels: Some(labels), ..ObjectMeta::default() };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

/// A short digest of a template.
pub(super) fn digest(template: &PodTemplateSpec) -> serde_json::Result<String> {
    Ok(hex::encode(&Sha256::digest(serde_json::to_vec(template)?)[..8]))
}

fn spec(fleet: &Fleet, pool: &FleetPool, settings: &Settings, place: &Place<'_>) -> PodSpec {
    PodSpec {
        service_account_name: Some(fleet.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(container::pod_security(settings)),
        image_pull_secrets: container::pull_secrets(settings),
        termination_grace_period_seconds: Some(container::grace_seconds(fleet.drain_seconds)),
        priority_class_name: pool.priority_class_name.clone(),
        node_selector: Some(pool.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(pool.tolerations.clone()).filter(|taints| !taints.is_empty()),
        affinity: gpu::affinity(fleet, pool),
        topology_spread_constraints: pool
            .topology_spread
            .then(|| vec![container::spread(place.selector.clone())]),
        containers: vec![server(fleet, pool, settings, place.mounts)],
        volumes: Some(volumes(pool, place)),
        ..PodSpec::default()
    }
}

fn server(fleet: &Fleet, pool: &FleetPool, settings: &Settings, mounts: &Mounts) -> Container {
    let model = VolumeMount {
        name: "model".to_owned(),
        mount_path: MODEL_FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let store = VolumeMount {
        name: "store".to_owned(),
        mount_path: STORE_FOLDER.to_owned(),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.inference_image.clone()),
        image_pull_policy: Some(format!("{:?}", settings.pull_policy)),
        env: Some(environment(fleet, pool, settings, mounts)),
        ports: Some(vec![
            container::port(SPEECH_PORT_NAME, pod::SPEECH_PORT),
            container::port(HEALTH_PORT_NAME, pod::HEALTH_PORT),
            container::port(ADMIN_PORT_NAME, pod::ADMIN_PORT),
        ]),
        resources: Some(container::resources(
            pool.cpu,
            pool.memory,
            pool.ephemeral_storage,
            gpu::count(pool.gpu),
        )),
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
        volume_mounts: Some([model, store].into_iter().chain(mounts.mounts()).collect()),
        ..Container::default()
    }
}

fn environment(fleet: &Fleet, pool: &FleetPool, settings: &Settings, mounts: &Mounts) -> Vec<EnvVar> {
    let mut variables = vec![
        env(pod::ENV_MODEL_FILE, format!("{MODEL_FOLDER}/{MODEL_KEY}")),
        env(pod::ENV_STORE, STORE_FOLDER),
        env(pod::ENV_STORE_BYTES, store_size(pool).bytes().to_string()),
        env(pod::ENV_ADMIN_TOKEN_SHA256, settings.key.token_hash(&fleet.owner.uid)),
        env(pod::ENV_WORKERS, pool.workers.to_string()),
        env(pod::ENV_MAX_CONCURRENCY, pool.max_concurrency.to_string()),
        env(pod::ENV_MAX_QUEUE_DEPTH, pool.max_queue_depth.to_string()),
        env(pod::ENV_BUSY_SECONDS, fleet.busy_seconds.to_string()),
        env(pod::ENV_DRAIN_SECONDS, fleet.drain_seconds.to_string()),
        env(pod::ENV_ON_UNSPEAKABLE, on_unspeakable(fleet).name()),
        container::log_format(fleet),
        container::few_heaps(),
    ];
    variables.extend(marking(&fleet.marking));
    variables.extend(container::traces(fleet));
    variables.extend(mounts.env());
    variables.extend(gpu::env(pool.gpu));
    variables
}

/// What differs from the server's own defaults.
fn marking(marking: &Marking) -> impl Iterator<Item = EnvVar> {
    let off = (!marking.enabled).then(|| env(pod::ENV_MARKING, "false"));
    let producer = marking.producer.as_ref().map(|producer| env(pod::ENV_PRODUCER, producer.clone()));
    off.into_iter().chain(producer)
}

fn on_unspeakable(fleet: &Fleet) -> pod::OnUnspeakable {
    match fleet.on_unspeakable {
        OnUnspeakable::Skip => pod::OnUnspeakable::Skip,
        OnUnspeakable::Refuse => pod::OnUnspeakable::Refuse,
    }
}

fn store_size(pool: &FleetPool) -> Memory {
    Memory::from_bytes(pool.ephemeral_storage.bytes().saturating_sub(DISK_RESERVE))
}

fn volumes(pool: &FleetPool, place: &Place<'_>) -> Vec<Volume> {
    let own = [
        Volume {
            name: "model".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: place.config.clone(),
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
                size_limit: Some(Quantity(store_size(pool).to_string())),
                medium: None,
            }),
            ..Volume::default()
        },
    ];
    own.into_iter().chain(place.mounts.volumes()).collect()
}
