//! Where the model comes from.

mod download;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use reqwest::Url;
use tokio::task::spawn_blocking;
use ttsfleet_models::{FolderError, Manifest, ModelFolder};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use download::Download;
pub use download::{Patience, client};

use crate::state::Served;

/// Why no model could be had. Each message says what to look at.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file with the model's record is missing or wrong.
    #[error("cannot use the model record {path}: {reason}")]
    Record {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address is not one that models are fetched from.
    #[error("cannot fetch a model from {0:?}: the address must start with file://, http:// or https://")]
    Address(String),
    /// The model folder was refused.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Another model than the one named came.
    #[error("the model folder holds {found}, but {wanted} was asked for")]
    OtherModel {
        /// What is in the folder.
        found: String,
        /// What the record names.
        wanted: String,
    },
    /// A file could not be fetched.
    #[error("cannot fetch {url}: {reason}")]
    Fetch {
        /// The address, without credentials and query.
        url: String,
        /// What went wrong.
        reason: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// The store could not be written.
    #[error("cannot write the model store {path}: {source}")]
    Store {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no place for fetched models.
    #[error("no folder to keep fetched models in: name one with --store")]
    NoStore,
    /// The loading code panicked.
    #[error("loading the model panicked")]
    Panic,
}

impl LoadError {
    /// Whether the same thing may succeed later without anybody mending it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Fetch { transient: true, .. })
    }
}

/// What models are fetched with.
#[derive(Debug, Clone, Default)]
pub struct SourcesConfig {
    /// Folder for fetched models.
    pub store: Option<PathBuf>,
    /// Folder with a folder for each Secret.
    pub secrets: Option<PathBuf>,
    /// Folder with a folder for each PersistentVolumeClaim.
    pub claims: Option<PathBuf>,
    /// How often and how long to try.
    pub patience: Patience,
}

/// Brings model folders here, verified.
pub struct Sources {
    config: SourcesConfig,
    staged: Mutex<Vec<(String, ModelRecord)>>,
}

/// How far the staging of a model is.
#[derive(Debug, Default)]
pub struct StageProgress {
    /// Bytes in the store so far.
    pub done: AtomicU64,
    /// Bytes of the whole folder; 0 until known.
    pub total: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl StageProgress {
    /// What went wrong on the way and is tried again.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what went wrong, or that it is over.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Sources {
    /// Takes no file in hand before the first model is staged.
    pub fn new(config: SourcesConfig) -> Self {
        Self { config, staged: Mutex::default() }
    }

    /// Brings the model's folder here, verified: its files, its digest where
    /// one is pinned, and its name and version where the record has them.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn stage(
        &self,
        record: &ModelRecord,
        _progress: &StageProgress,
    ) -> Result<ModelFolder, LoadError> {
        let source = Source {
            record: record.clone(),
            store: self.config.store.clone(),
            patience: self.config.patience,
        };
        let folder = open(&source).await?;
        check_name(record, folder.manifest())?;
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.retain(|(_, known)| known != record);
        staged.push((folder.digest(), record.clone()));
        Ok(folder)
    }

    /// The models staged since the start and not forgotten.
    pub fn staged(&self) -> Vec<ModelRecord> {
        let staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.iter().map(|(_, record)| record.clone()).collect()
    }

    /// Removes all models with other digests (`sha256:…`) from the store.
    pub fn forget_all_but(&self, digests: &[String]) {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.retain(|(digest, _)| digests.contains(digest));
    }
}

/// Which model, and what to fetch it with.
#[derive(Debug, Clone)]
pub struct Source {
    /// The model, as the operator names it.
    pub record: ModelRecord,
    /// Folder for fetched models.
    pub store: Option<PathBuf>,
    /// How often and how long to try.
    pub patience: Patience,
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

/// Fetches, verifies and loads the model.
///
/// # Errors
/// [`LoadError`].
pub async fn load(source: Source) -> Result<Served, LoadError> {
    let folder = open(&source).await?;
    check_name(&source.record, folder.manifest())?;
    blocking(move || {
        let model = ttsfleet_models::load(&folder)?;
        Ok(Served { model, digest: folder.digest() })
    })
    .await
}

/// Brings the folder here, verified.
///
/// # Errors
/// [`LoadError`].
pub async fn open(source: &Source) -> Result<ModelFolder, LoadError> {
    let Some(ModelSource { uri, digest, secret: _ }) = source.record.source.clone() else {
        return blocking(|| Ok(ModelFolder::embedded(ttsfleet_voice::FILES)?)).await;
    };
    if let Some(path) = uri.strip_prefix("file://") {
        let path = PathBuf::from(path);
        return blocking(move || open_folder(&path, digest.as_deref())).await;
    }
    let url = Url::parse(&uri).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| LoadError::Address(scheme_only(&uri)))?;
    let store = source.store.clone().ok_or(LoadError::NoStore)?;
    let store = Arc::new(store::Store::open(store).await?);
    Download::new(client()?, url, digest, store, source.patience).run().await
}

fn open_folder(path: &Path, pinned: Option<&str>) -> Result<ModelFolder, LoadError> {
    let folder = ModelFolder::open(path)?;
    if let Some(pinned) = pinned {
        folder.require_digest(pinned)?;
    }
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

/// An address can hold credentials; its scheme does not.
fn scheme_only(uri: &str) -> String {
    uri.split_once("://").map_or_else(String::new, |(scheme, _)| format!("{scheme}://…"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    spawn_blocking(work).await.unwrap_or(Err(LoadError::Panic))
}
