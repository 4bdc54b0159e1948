//! Why no model could be had.

use ttsfleet_models::FolderError;

/// Why no model could be had. Each message says what to look at, and none
/// holds a credential.
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
    #[error(
        "cannot fetch a model from {0:?}: write file:///folder, pvc://claim/folder, http(s)://host/folder, \
         s3://bucket/folder, gs://bucket/folder, az://container/folder, \
         hf://owner/repository@revision/folder or oci://registry/repository@sha256:…"
    )]
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
    /// Certificates to trust cannot be read.
    #[error("cannot read the certificates in {path}: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The Secret for the source cannot be used.
    #[error("cannot use the Secret {name:?}: {reason}")]
    Secret {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A claim is not mounted, or a folder in it leaves it.
    #[error("cannot read from the claim {claim:?}: {reason}")]
    Claim {
        /// The PersistentVolumeClaim.
        claim: String,
        /// What is wrong.
        reason: String,
    },
    /// The store could not be written.
    #[error("cannot write the model store {path}: {source}")]
    Store {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store's file system has too little room.
    #[error(
        "the model store {path} has no room for the model: {needed} bytes more are needed and {free} are free; \
         give the pod a larger volume for models, or remove other models from it"
    )]
    Full {
        /// The store.
        path: String,
        /// Bytes still to come.
        needed: u64,
        /// Bytes free.
        free: u64,
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
