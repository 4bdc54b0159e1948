//! The fleet's gateway: what it is told, and its pods.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVar, PodSpec, PodTemplateSpec, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use ttsfleet_wire::gateway;
use ttsfleet_wire::route::{MirrorRoute, ROUTE_KEY, RouteTable};

use super::children::{Settings, gateway_meta};
use super::container::{self, HEALTH_PORT_NAME, SPEECH_PORT_NAME, env};
use super::labels;
use super::plan::PoolPlan;
use crate::fleet::validate::{Fleet, FleetPool};

/// Name of the only container.
pub(crate) const CONTAINER: &str = "gateway";

const KEYS_FOLDER: &str = "/etc/ttsfleet/keys";
const KEYS_VOLUME: &str = "keys";
/// Disk of one pod: what the kubelet keeps of its log, and some more.
const DISK: &str = "128Mi";
/// Time to stop beside the drain: a gateway waits by itself until the Service
/// has forgotten it, and then has to end.
const LEEWAY_SECONDS: i64 = 15;
/// A gateway starts within seconds; what takes longer is stuck.
const PROGRESS_DEADLINE_SECONDS: i32 = 120;

/// The fleet's [`ttsfleet_wire::route::RouteTable`] in a ConfigMap. Pods watch
/// it, so that a change of it restarts none.
pub(super) fn route(fleet: &Fleet, plans: &[PoolPlan]) -> serde_json::Result<ConfigMap> {
    let tried = fleet.pools.iter().zip(plans).filter(|(_, plan)| plan.wants.mirror);
    let mirrors = tried.map(|(pool, _)| mirror(fleet, pool)).collect();
    let table = serde_json::to_string(&RouteTable { mirrors, ..fleet.gateway.route.clone() })?;
    Ok(ConfigMap {
        metadata: gateway_meta(fleet),
        data: Some([(ROUTE_KEY.to_owned(), table)].into()),
        ..ConfigMap::default()
    })
}

/// A share of a pool's requests for the judge of the model that is tried in it.
fn mirror(fleet: &Fleet, pool: &FleetPool) -> MirrorRoute {
    MirrorRoute {
        pool: pool.name.clone(),
        judge: labels::trial_object(&fleet.name, &pool.name, labels::JUDGE),
        percent: fleet.rollout.percent,
    }
}

/// The gateway's pods. A new one serves before an old one goes. They are replaced
/// when `account`, the ServiceAccount that they were last replaced for, changes.
pub(super) fn deployment(fleet: &Fleet, settings: &Settings, account: Option<&str>) -> Deployment {
    Deployment {
        metadata: gateway_meta(fleet),
        spec: Some(DeploymentSpec {
            replicas: Some(fleet.gateway.replicas),
            selector: LabelSelector {
                match_labels: Some(labels::gateway_selector(&fleet.name)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            revision_history_limit: Some(1),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::component(&fleet.name, labels::GATEWAY)),
                    annotations: account.map(|uid| [(labels::ACCOUNT.to_owned(), uid.to_owned())].into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(fleet, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(fleet: &Fleet, settings: &Settings) -> PodSpec {
    PodSpec {
        service_account_name: Some(labels::gateway_object(&fleet.name)),
        // It watches its route table and the pools' pods.
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        security_context: Some(container::pod_security(settings)),
        image_pull_secrets: container::pull_secrets(settings),
        termination_grace_period_seconds: Some(i64::from(fleet.drain_seconds) + LEEWAY_SECONDS),
        topology_spread_constraints: Some(vec![container::spread(labels::gateway_selector(&fleet.name))]),
        containers: vec![server(fleet, settings)],
        volumes: fleet.gateway.api_keys.as_ref().map(|secret| vec![keys(secret)]),
        ..PodSpec::default()
    }
}

fn server(fleet: &Fleet, settings: &Settings) -> Container {
    let mount = VolumeMount {
        name: KEYS_VOLUME.to_owned(),
        mount_path: KEYS_FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.gateway_image.clone()),
        image_pull_policy: Some(format!("{:?}", settings.pull_policy)),
        env: Some(environment(fleet)),
        ports: Some(vec![
            container::port(SPEECH_PORT_NAME, gateway::SPEECH_PORT),
            container::port(HEALTH_PORT_NAME, gateway::HEALTH_PORT),
        ]),
        resources: Some(container::resources(fleet.gateway.cpu, fleet.gateway.memory, DISK, None)),
        // It is all that stands between callers and the pools, so its state is
        // looked at often.
        readiness_probe: Some(container::probe("/readyz", 1, 2)),
        liveness_probe: Some(container::probe("/healthz", 2, 10)),
        security_context: Some(container::security()),
        volume_mounts: fleet.gateway.api_keys.as_ref().map(|_| vec![mount]),
        ..Container::default()
    }
}

fn environment(fleet: &Fleet) -> Vec<EnvVar> {
    let mut variables = vec![
        env(gateway::ENV_NAMESPACE, &fleet.namespace),
        env(gateway::ENV_ROUTE, labels::gateway_object(&fleet.name)),
        env(gateway::ENV_ENDPOINTS, labels::endpoints_selector(&fleet.name)),
        env(gateway::ENV_DRAIN_SECONDS, fleet.drain_seconds.to_string()),
        container::log_format(fleet),
        container::few_heaps(),
    ];
    variables.extend(container::traces(fleet));
    if fleet.gateway.api_keys.is_some() {
        variables.push(env(gateway::ENV_API_KEYS, KEYS_FOLDER));
    }
    variables
}

/// A pod without the Secret does not start: without keys it could only refuse
/// everybody, and the pods before it still know them.
fn keys(secret: &str) -> Volume {
    Volume {
        name: KEYS_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}
