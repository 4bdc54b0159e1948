//! What pods need mounted to fetch models: Secrets and PersistentVolumeClaims.
//! They are part of the template, so that a model with a new one rolls the pods
//! before it can be tried.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    EnvVar, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};
use ttsfleet_wire::model::{ModelRecord, ModelSource};
use ttsfleet_wire::pod;

use super::container::env;
use super::labels::short_digest;

/// Not below the folder of the model record, which is a volume that nothing
/// can be made in.
const SECRETS_FOLDER: &str = "/etc/ttsfleet-secrets";
const CLAIMS_FOLDER: &str = "/var/lib/ttsfleet-claims";
const SECRET: &str = "secret-";
const CLAIM: &str = "claim-";

/// Names of Secrets and claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    secrets: BTreeSet<String>,
    claims: BTreeSet<String>,
}

impl Mounts {
    /// What these models are fetched with.
    pub(super) fn of<'a>(models: impl IntoIterator<Item = &'a ModelRecord>) -> Self {
        let mut mounts = Self::default();
        for source in models.into_iter().filter_map(|model| model.source.as_ref()) {
            mounts.secrets.extend(source.secret.clone());
            mounts.claims.extend(claim(source).map(str::to_owned));
        }
        mounts
    }

    /// What the pods of a Deployment have.
    pub(super) fn found(deployment: &Deployment) -> Self {
        let mut mounts = Self::default();
        let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
        for volume in pod.and_then(|pod| pod.volumes.as_ref()).into_iter().flatten() {
            if let (true, Some(secret)) = (volume.name.starts_with(SECRET), &volume.secret) {
                mounts.secrets.extend(secret.secret_name.clone());
            }
            if let (true, Some(claim)) = (volume.name.starts_with(CLAIM), &volume.persistent_volume_claim) {
                mounts.claims.insert(claim.claim_name.clone());
            }
        }
        mounts
    }

    /// These and those.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self { secrets: &self.secrets | &other.secrets, claims: &self.claims | &other.claims }
    }

    /// Variables that say where they are.
    pub(super) fn env(&self) -> Vec<EnvVar> {
        let secrets = (!self.secrets.is_empty()).then(|| env(pod::ENV_SECRETS, SECRETS_FOLDER));
        let claims = (!self.claims.is_empty()).then(|| env(pod::ENV_CLAIMS, CLAIMS_FOLDER));
        secrets.into_iter().chain(claims).collect()
    }

    /// The volumes. A Secret may be missing: pods whose model needs it no longer
    /// shall start all the same, and the others say that it is not there.
    pub(super) fn volumes(&self) -> Vec<Volume> {
        let secrets = self.secrets.iter().map(|name| Volume {
            name: volume_name(SECRET, name),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.clone()),
                optional: Some(true),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
        let claims = self.claims.iter().map(|name| Volume {
            name: volume_name(CLAIM, name),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name.clone(),
                read_only: Some(true),
            }),
            ..Volume::default()
        });
        secrets.chain(claims).collect()
    }

    /// Where the container finds them.
    pub(super) fn mounts(&self) -> Vec<VolumeMount> {
        let mount = |prefix, folder: &str, name: &String| VolumeMount {
            name: volume_name(prefix, name),
            mount_path: format!("{folder}/{name}"),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        let secrets = self.secrets.iter().map(|name| mount(SECRET, SECRETS_FOLDER, name));
        let claims = self.claims.iter().map(|name| mount(CLAIM, CLAIMS_FOLDER, name));
        secrets.chain(claims).collect()
    }
}

/// The claim of `pvc://claim/folder`.
fn claim(source: &ModelSource) -> Option<&str> {
    let rest = source.uri.strip_prefix("pvc://")?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

/// Names of Secrets may be longer than those of volumes, and have dots.
fn volume_name(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", short_digest(name))
}
