//! The model folder: `model.json` and the files it lists, checked before use.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The manifest's file name inside a model folder.
pub const MANIFEST_NAME: &str = "model.json";

/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// `model.json`: what a model is and which files make it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Which implementation reads the files, such as `hibari`.
    pub family: String,
    /// The model's name, as in `name@version`.
    pub name: String,
    /// The model's version, as in `name@version`.
    pub version: String,
    /// Samples per second of the audio it makes.
    pub sample_rate: u32,
    /// BCP 47 tags of the languages it speaks.
    pub languages: Vec<String>,
    /// Names of the voices it speaks with; the first is the default.
    pub voices: Vec<String>,
    /// SPDX expression of the licence of the weights.
    pub licence: String,
    /// Every other file of the folder.
    pub files: Vec<FileEntry>,
}

/// One file of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the folder: forward slashes, no `..`, not absolute.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Hexadecimal sha256 of the content.
    pub sha256: String,
}

/// Why a folder was refused.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// `model.json` is not a manifest.
    #[error("model.json is not a valid manifest: {0}")]
    Manifest(#[from] serde_json::Error),
    /// `model.json` names a path outside the folder.
    #[error("model.json names {0:?}, which is not a plain path inside the folder")]
    UnsafePath(String),
    /// A file differs from what `model.json` says.
    #[error("{path} differs from model.json: {what}")]
    Altered {
        /// The file.
        path: String,
        /// Size or digest, with both values.
        what: String,
    },
    /// The manifest itself has another digest than the one pinned.
    #[error("the model's digest is {actual}, but {pinned} is pinned")]
    WrongDigest {
        /// sha256 of the `model.json` found.
        actual: String,
        /// sha256 asked for.
        pinned: String,
    },
    /// A file the model family needs is not listed.
    #[error("the model folder has no {0}")]
    Missing(String),
    /// The weights are not what the family expects.
    #[error("unusable weights: {0}")]
    Weights(String),
    /// No implementation reads this family.
    #[error("model family {0:?} is not known; known: hibari")]
    UnknownFamily(String),
}

/// A verified model folder, its files in memory: what was checked is what is
/// used, whatever happens on disk afterwards.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    manifest: Manifest,
    digest: String,
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl ModelFolder {
    /// Reads and verifies a folder on disk.
    ///
    /// # Errors
    /// [`FolderError`], naming the file at fault.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        let manifest = read_bounded(dir, MANIFEST_NAME, MAX_MANIFEST_BYTES)?;
        Self::assemble(manifest, |entry| Ok(read_bounded(dir, &entry.path, entry.size)?.into()))
    }

    /// Verifies a folder that was compiled into the binary.
    ///
    /// # Errors
    /// [`FolderError`], naming the file at fault.
    pub fn embedded(files: &[(&'static str, &'static [u8])]) -> Result<Self, FolderError> {
        let find = |name: &str| {
            let found = files.iter().find(|(path, _)| *path == name);
            found.map(|(_, bytes)| *bytes).ok_or_else(|| FolderError::Missing(name.to_owned()))
        };
        Self::assemble(find(MANIFEST_NAME)?.to_vec(), |entry| find(&entry.path).map(Cow::Borrowed))
    }

    fn assemble(
        manifest_bytes: Vec<u8>,
        read: impl Fn(&FileEntry) -> Result<Cow<'static, [u8]>, FolderError>,
    ) -> Result<Self, FolderError> {
        let manifest = Manifest::parse(&manifest_bytes)?;
        let mut files = BTreeMap::new();
        for entry in &manifest.files {
            let bytes = read(entry)?;
            verify(entry, &bytes)?;
            files.insert(entry.path.clone(), bytes);
        }
        Ok(Self { manifest, digest: sha256_hex(&manifest_bytes), files })
    }

    /// Refuses a folder other than the one pinned.
    ///
    /// # Errors
    /// [`FolderError::WrongDigest`].
    pub fn require_digest(&self, pinned: &str) -> Result<(), FolderError> {
        let wanted = pinned.strip_prefix("sha256:").unwrap_or(pinned);
        if self.digest.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(FolderError::WrongDigest { actual: self.digest(), pinned: format!("sha256:{wanted}") })
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// `sha256:…` of `model.json`: the model's identity.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.digest)
    }

    /// The content of one listed file.
    ///
    /// # Errors
    /// [`FolderError::Missing`].
    pub fn bytes(&self, path: &str) -> Result<&[u8], FolderError> {
        let found = self.files.get(path).map(AsRef::as_ref);
        found.ok_or_else(|| FolderError::Missing(path.to_owned()))
    }
}

impl Manifest {
    /// Parses `model.json` and refuses paths that leave the folder.
    ///
    /// # Errors
    /// [`FolderError::Manifest`] or [`FolderError::UnsafePath`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FolderError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        for entry in &manifest.files {
            let path = Path::new(&entry.path);
            let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || entry.path.is_empty() || entry.path.contains('\\') || entry.path == MANIFEST_NAME {
                return Err(FolderError::UnsafePath(entry.path.clone()));
            }
        }
        Ok(manifest)
    }
}

/// Checks a file's bytes against its entry.
///
/// # Errors
/// [`FolderError::Altered`].
pub fn verify(entry: &FileEntry, bytes: &[u8]) -> Result<(), FolderError> {
    let altered = |what| FolderError::Altered { path: entry.path.clone(), what };
    if bytes.len() as u64 != entry.size {
        return Err(altered(format!("{} bytes instead of {}", bytes.len(), entry.size)));
    }
    let actual = sha256_hex(bytes);
    if !actual.eq_ignore_ascii_case(&entry.sha256) {
        return Err(altered(format!("sha256 {actual} instead of {}", entry.sha256)));
    }
    Ok(())
}

/// Hexadecimal sha256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads at most `limit` + 1 bytes, so that a file swapped for a huge one
/// cannot exhaust memory before its size is compared.
fn read_bounded(dir: &Path, name: &str, limit: u64) -> Result<Vec<u8>, FolderError> {
    use std::io::Read;
    let path = dir.join(name);
    let failed = |source| FolderError::Read { path: path.display().to_string(), source };
    let file = std::fs::File::open(&path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
