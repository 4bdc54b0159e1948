//! What compares a new model with the one before: it is there only while a
//! rollout needs it.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, EnvVar, PodSpec, PodTemplateSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sha2::{Digest, Sha256};
use ttsfleet_wire::judge::{self, Recogniser, SESSION_KEY, Session};
use ttsfleet_wire::pod::SPEECH_PORT;

use super::children::{Settings, trial_meta};
use super::container::{self, HEALTH_PORT_NAME, SPEECH_PORT_NAME, env};
use super::labels::{self, BASELINE, JUDGE, SHADOW};
use super::mounts::Mounts;
use super::plan::Prompts;
use crate::fleet::validate::{Fleet, FleetPool};
use crate::rollout::Comparison;

/// Name of the only container.
pub(crate) const CONTAINER: &str = "judge";
/// Template annotation with the digest of the session: a judge has one session
/// in its life.
const SESSION_DIGEST: &str = "ttsfleet.dev/session";
const SESSION_FOLDER: &str = "/etc/ttsfleet";
/// Disk for logs and the container's own files.
const DISK: &str = "128Mi";
/// A judge loads its recogniser within this, also from a slow volume.
const START_SECONDS: i32 = 1800;
/// Time to stop. Nothing it knows is worth keeping.
const GRACE_SECONDS: i64 = 5;
/// After so many seconds in which no words were heard in callers' texts, prompts
/// fill up.
const PROMPT_AFTER_SECONDS: u32 = 3;

/// What is compared, in a ConfigMap.
pub(super) fn session(
    fleet: &Fleet,
    pool: &FleetPool,
    comparison: &Comparison,
    prompts: &Prompts,
) -> serde_json::Result<ConfigMap> {
    let address = |service: String| format!("http://{service}:{SPEECH_PORT}");
    let baseline = match pool.fresh_baseline() {
        true => labels::trial_object(&fleet.name, &pool.name, BASELINE),
        false => labels::pool_object(&fleet.name, &pool.name),
    };
    let session = Session {
        id: comparison.id.clone(),
        baseline_url: address(baseline),
        candidate_url: address(labels::trial_object(&fleet.name, &pool.name, SHADOW)),
        baseline_digest: comparison.baseline_digest.clone(),
        candidate_digest: comparison.candidate_digest.clone(),
        min_samples: fleet.rollout.shadow.min_samples,
        confidence_percent: fleet.rollout.confidence_percent,
        prompts: match prompts {
            Prompts::Given(texts) => Some(texts.clone()),
            Prompts::BuiltIn | Prompts::Missing(_) => None,
        },
        prompt_after_seconds: PROMPT_AFTER_SECONDS,
        recogniser: fleet.rollout.recogniser.clone(),
    };
    Ok(ConfigMap {
        metadata: trial_meta(fleet, pool, JUDGE),
        data: Some([(SESSION_KEY.to_owned(), serde_json::to_string(&session)?)].into()),
        ..ConfigMap::default()
    })
}

/// The judge's pod.
pub(super) fn deployment(
    fleet: &Fleet,
    pool: &FleetPool,
    settings: &Settings,
    trial: &str,
    session: &ConfigMap,
) -> Deployment {
    let selector = labels::trial_selector(&fleet.name, &pool.name, JUDGE);
    let mut of_pod = labels::trial(&fleet.name, &pool.name, JUDGE);
    of_pod.insert(labels::TRIAL.to_owned(), trial.to_owned());
    Deployment {
        metadata: trial_meta(fleet, pool, JUDGE),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            progress_deadline_seconds: Some(START_SECONDS + 60),
            revision_history_limit: Some(1),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(of_pod),
                    annotations: Some([(SESSION_DIGEST.to_owned(), digest(session))].into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec(fleet, pool, settings)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn digest(session: &ConfigMap) -> String {
    let text = session.data.as_ref().and_then(|data| data.get(SESSION_KEY));
    hex::encode(&Sha256::digest(text.map_or("", String::as_str))[..8])
}

fn spec(fleet: &Fleet, pool: &FleetPool, settings: &Settings) -> PodSpec {
    let mounts = match &fleet.rollout.recogniser {
        Recogniser::Embedded => Mounts::default(),
        Recogniser::Whisper { record } => Mounts::of([record]),
    };
    PodSpec {
        service_account_name: Some(fleet.name.clone()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(container::pod_security(settings)),
        image_pull_secrets: container::pull_secrets(settings),
        termination_grace_period_seconds: Some(GRACE_SECONDS),
        containers: vec![listener(fleet, settings, &mounts)],
        volumes: Some(volumes(fleet, pool, &mounts)),
        ..PodSpec::default()
    }
}

fn listener(fleet: &Fleet, settings: &Settings, mounts: &Mounts) -> Container {
    let rollout = &fleet.rollout;
    let session = VolumeMount {
        name: "session".to_owned(),
        mount_path: SESSION_FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.judge_image.clone()),
        image_pull_policy: Some(format!("{:?}", settings.pull_policy)),
        env: Some(environment(fleet, mounts)),
        ports: Some(vec![
            container::port(SPEECH_PORT_NAME, judge::PORT),
            container::port(HEALTH_PORT_NAME, judge::HEALTH_PORT),
        ]),
        resources: Some(container::resources(rollout.judge_cpu, rollout.judge_memory, DISK, None)),
        startup_probe: Some(container::probe("/readyz", 1, START_SECONDS)),
        readiness_probe: Some(container::probe("/readyz", 2, 2)),
        liveness_probe: Some(container::probe("/healthz", 10, 6)),
        security_context: Some(container::security()),
        volume_mounts: Some(std::iter::once(session).chain(mounts.mounts()).collect()),
        ..Container::default()
    }
}

fn environment(fleet: &Fleet, mounts: &Mounts) -> Vec<EnvVar> {
    let mut variables = vec![
        env(judge::ENV_SESSION, format!("{SESSION_FOLDER}/{SESSION_KEY}")),
        container::log_format(fleet),
    ];
    variables.extend(mounts.env());
    variables
}

fn volumes(fleet: &Fleet, pool: &FleetPool, mounts: &Mounts) -> Vec<Volume> {
    let session = Volume {
        name: "session".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: labels::trial_object(&fleet.name, &pool.name, JUDGE),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    std::iter::once(session).chain(mounts.volumes()).collect()
}
