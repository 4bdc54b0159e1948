//! Where the model comes from.

mod arrival;
mod bucket;
mod claim;
mod client;
mod error;
mod hub;
mod origin;
mod progress;
mod registry;
mod secret;
mod stage;
mod store;
mod web;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::task::spawn_blocking;
use ttsfleet_models::{Manifest, ModelFolder};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use client::client;
pub use error::LoadError;
pub use progress::StageProgress;
use secret::Secret;
pub use stage::Patience;
use stage::Staging;
use store::Store;

/// What models are fetched with.
#[derive(Debug, Clone, Default)]
pub struct SourcesConfig {
    /// Folder for fetched models.
    pub store: Option<PathBuf>,
    /// Bytes that it may hold, where that is less than the disk.
    pub store_bytes: Option<u64>,
    /// Folder with a folder for each Secret.
    pub secrets: Option<PathBuf>,
    /// Folder with a folder for each PersistentVolumeClaim.
    pub claims: Option<PathBuf>,
    /// How often and how long to try.
    pub patience: Patience,
}

/// Brings model folders here, verified. One at a time: two would share the
/// line and the disk.
pub struct Sources {
    config: SourcesConfig,
    one_at_a_time: tokio::sync::Mutex<()>,
    /// With the digest of each.
    staged: Mutex<Vec<(String, ModelRecord)>>,
    /// The store's lock is for other servers; a second call here waits.
    tidying: Mutex<()>,
}

impl Sources {
    /// Touches nothing before the first model is staged.
    pub fn new(config: SourcesConfig) -> Self {
        Self {
            config,
            one_at_a_time: tokio::sync::Mutex::default(),
            staged: Mutex::default(),
            tidying: Mutex::default(),
        }
    }

    /// Brings the model's folder here, verified: its files, its digest where
    /// one is pinned, and its name and version where the record has them. What
    /// is in the store already is not fetched. Dropped half-way, it leaves
    /// nothing behind but what a later call can go on with.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn stage(
        &self,
        record: &ModelRecord,
        progress: &StageProgress,
    ) -> Result<ModelFolder, LoadError> {
        let _turn = self.one_at_a_time.lock().await;
        let folder = self.bring(record, progress).await?;
        check_name(record, folder.manifest())?;
        progress.complete(folder.manifest().files.iter().map(|entry| entry.size).sum());
        let mut staged = self.known();
        staged.retain(|(_, known)| known != record);
        staged.push((folder.digest(), record.clone()));
        Ok(folder)
    }

    async fn bring(&self, record: &ModelRecord, progress: &StageProgress) -> Result<ModelFolder, LoadError> {
        let Some(ModelSource { uri, digest, secret }) = record.source.clone() else {
            return blocking(|| Ok(ModelFolder::embedded(ttsfleet_voice::FILES)?)).await;
        };
        let claims = self.config.claims.clone();
        match uri.split_once("://") {
            Some(("file", path)) => {
                let path = PathBuf::from(path);
                blocking(move || pinned(ModelFolder::open(&path)?, digest.as_deref())).await
            }
            Some(("pvc", place)) => {
                let place = place.to_owned();
                blocking(move || pinned(claim::open(claims.as_ref(), &place)?, digest.as_deref())).await
            }
            _ => self.fetch(&uri, digest, secret, progress).await,
        }
    }

    async fn fetch(
        &self,
        uri: &str,
        digest: Option<String>,
        secret: Option<String>,
        progress: &StageProgress,
    ) -> Result<ModelFolder, LoadError> {
        let root = self.config.store.clone().ok_or(LoadError::NoStore)?;
        let store = Arc::new(Store::open(root, self.config.store_bytes, digest.clone()).await?);
        // What is here needs neither the source nor its credentials.
        if let Some(folder) = Store::look_up(&store, digest.clone()).await? {
            return Ok(folder);
        }
        let secrets = self.config.secrets.clone();
        let secret = blocking(move || Secret::read(secrets.as_ref(), secret.as_deref())).await?;
        let origin = origin::connect(uri, &secret, client(&secret)?)?;
        let patience = self.config.patience;
        Staging { origin, pinned: digest, store, secret, patience, progress }.run().await
    }

    /// The models staged since the start and not forgotten.
    pub fn staged(&self) -> Vec<ModelRecord> {
        self.known().iter().map(|(_, record)| record.clone()).collect()
    }

    /// The digest of a model: as it was staged, or else as it is pinned.
    pub fn digest_of(&self, record: &ModelRecord) -> Option<String> {
        let known = self.known().iter().find(|(_, known)| known == record).map(|(digest, _)| digest.clone());
        known.or_else(|| record.source.as_ref()?.digest.clone())
    }

    /// Removes all models with other digests (`sha256:…`) from the store. What
    /// cannot be removed now is at the next call.
    pub fn forget_all_but(&self, digests: &[String]) {
        let _turn = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        self.known().retain(|(digest, _)| digests.contains(digest));
        let Some(root) = &self.config.store else { return };
        if let Err(error) = store::remove_all_but(root, digests) {
            tracing::warn!(%error, path = %root.display(), "cannot remove models from the store");
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<(String, ModelRecord)>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the record that the operator mounts.
///
/// # Errors
/// [`LoadError::Record`].
pub fn read_record(path: &Path) -> Result<ModelRecord, LoadError> {
    let failed = |reason: String| LoadError::Record { path: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

/// The record of a folder on this machine.
pub fn record_of_folder(folder: &Path) -> ModelRecord {
    let uri = format!("file://{}", folder.display());
    let source = Some(ModelSource { uri, digest: None, secret: None });
    ModelRecord { name: String::new(), version: String::new(), source }
}

fn pinned(folder: ModelFolder, digest: Option<&str>) -> Result<ModelFolder, LoadError> {
    digest.map_or(Ok(()), |digest| folder.require_digest(digest))?;
    Ok(folder)
}

/// A name is empty where any will do.
fn check_name(record: &ModelRecord, manifest: &Manifest) -> Result<(), LoadError> {
    let ModelRecord { name, version, source: _ } = record;
    let fits = |wanted: &String, found: &String| wanted.is_empty() || wanted == found;
    if fits(name, &manifest.name) && fits(version, &manifest.version) {
        return Ok(());
    }
    Err(LoadError::OtherModel {
        found: format!("{}@{}", manifest.name, manifest.version),
        wanted: format!("{name}@{version}"),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    spawn_blocking(work).await.unwrap_or(Err(LoadError::Panic))
}
