//! The model folder: `model.json` and the files it lists, checked before use.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bounds;

/// The manifest's file name inside a model folder.
pub const MANIFEST_NAME: &str = "model.json";

/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The largest model that is read, in bytes: its files are held in memory while
/// it is loaded.
pub const MAX_MODEL_BYTES: u64 = 64 << 30;

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
    /// `model.json` names a path twice.
    #[error("model.json names {0:?} twice")]
    Twice(String),
    /// `model.json` is out of all proportion.
    #[error("model.json {0}")]
    Unbounded(String),
    /// The files together are larger than what is read.
    #[error("the files that model.json names are larger than {MAX_MODEL_BYTES} bytes together")]
    TooLarge,
    /// A file is no plain file, or lies outside the folder.
    #[error("{0} is not a plain file inside the model folder: links out of it are not followed")]
    NotInside(String),
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
    /// Parses `model.json` and refuses paths that leave the folder, paths named
    /// twice, more than [`MAX_MODEL_BYTES`], and more or longer words than any
    /// model has.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FolderError> {
        let manifest: Self = serde_json::from_slice(bytes)?;
        bounds::check(&manifest)?;
        let mut named = BTreeSet::new();
        let mut total = 0_u64;
        for entry in &manifest.files {
            if !is_plain(&entry.path) {
                return Err(FolderError::UnsafePath(entry.path.clone()));
            }
            if !named.insert(&entry.path) {
                return Err(FolderError::Twice(entry.path.clone()));
            }
            let sum = total.checked_add(entry.size).filter(|sum| *sum <= MAX_MODEL_BYTES);
            total = sum.ok_or(FolderError::TooLarge)?;
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

/// Whether a path has one spelling, and that leads to a file of the folder.
fn is_plain(path: &str) -> bool {
    let mut spelled = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => spelled.push(part.to_string_lossy()),
            _ => return false,
        }
    }
    let strange = |character: char| character == '\\' || character.is_control();
    !path.is_empty() && spelled.join("/") == path && path != MANIFEST_NAME && !path.contains(strange)
}

/// Reads at most `limit` + 1 bytes, so that a file swapped for a huge one
/// cannot exhaust memory before its size is compared. What is no file is not
/// opened: a pipe would be waited for.
fn read_bounded(dir: &Path, name: &str, limit: u64) -> Result<Vec<u8>, FolderError> {
    let path = dir.join(name);
    let failed = |source| FolderError::Read { path: path.display().to_string(), source };
    let real = path.canonicalize().map_err(failed)?;
    let is_inside = real.starts_with(dir.canonicalize().map_err(failed)?);
    if !is_inside || !fs::metadata(&real).map_err(failed)?.is_file() {
        return Err(FolderError::NotInside(path.display().to_string()));
    }
    let file = File::open(&real).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn manifest(files: &[(&str, u64)]) -> Vec<u8> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, size)| serde_json::json!({"path": path, "size": size, "sha256": sha256_hex(b"x")}))
            .collect();
        let manifest = serde_json::json!({
            "family": "f", "name": "n", "version": "1", "sampleRate": 24_000, "languages": [], "voices": [],
            "licence": "", "files": files
        });
        serde_json::to_vec(&manifest).unwrap()
    }

    fn refusal(files: &[(&str, u64)]) -> String {
        Manifest::parse(&manifest(files)).unwrap_err().to_string()
    }

    /// A folder with the file `x`, as its manifest says.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(MANIFEST_NAME), manifest(&[("x", 1)])).unwrap();
        fs::write(dir.path().join("x"), "x").unwrap();
        dir
    }

    #[test]
    fn only_plain_paths_inside_the_folder_are_taken() {
        for good in ["x", "a/b.c/d", "...", "a b", "ä"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in [
            "",
            "/x",
            "..",
            "../x",
            "a/../x",
            "./x",
            "a/./x",
            "a//x",
            "a/",
            "a\\x",
            "x\0",
            "a\nb",
            "model.json",
            "/etc/passwd",
        ] {
            assert!(refusal(&[(bad, 1)]).contains("not a plain path"), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_named_once() {
        assert_eq!(refusal(&[("a/b", 1), ("c", 1), ("a/b", 2)]), "model.json names \"a/b\" twice");
    }

    #[test]
    fn the_files_together_have_a_bound() {
        assert!(Manifest::parse(&manifest(&[("a", MAX_MODEL_BYTES)])).is_ok());
        for sizes in [[MAX_MODEL_BYTES, 1], [u64::MAX, 1], [1, u64::MAX]] {
            assert!(refusal(&[("a", sizes[0]), ("b", sizes[1])]).contains("larger than"), "{sizes:?}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_folder_only() {
        let (dir, outside) = (folder(), folder());
        let (file, real) = (dir.path().join("x"), dir.path().join("real"));
        fs::rename(&file, &real).unwrap();
        symlink(&real, &file).unwrap();
        ModelFolder::open(dir.path()).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(outside.path().join("x"), &file).unwrap();
        let refused = ModelFolder::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("links out of it are not followed"), "{refused}");
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let dir = folder();
        fs::remove_file(dir.path().join("x")).unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        let refused = |dir: &tempfile::TempDir| ModelFolder::open(dir.path()).unwrap_err();
        assert!(matches!(refused(&dir), FolderError::NotInside(_)));
        fs::remove_dir(dir.path().join("x")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("x")).status().unwrap();
        assert!(made.success());
        assert!(matches!(refused(&dir), FolderError::NotInside(_)), "a pipe would be waited for");
    }
}
