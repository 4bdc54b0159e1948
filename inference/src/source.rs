//! Where the model comes from.

mod download;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
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
    fn is_transient(&self) -> bool {
        matches!(self, Self::Fetch { transient: true, .. })
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
