//! Fetched model folders on disk, each under its digest. A folder appears
//! there whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use ttsfleet_models::{FileEntry, MANIFEST_NAME, ModelFolder};

use super::{LoadError, blocking};

const INCOMING: &str = ".incoming-";

/// The store, locked against other servers for as long as this lives.
pub(super) struct Store {
    root: PathBuf,
    _lock: File,
}

impl Store {
    /// Makes the folder, waits for its lock, and removes what an earlier
    /// server left unfinished.
    pub(super) async fn open(root: PathBuf) -> Result<Self, LoadError> {
        blocking(move || {
            let opened = lock(&root).and_then(|lock| sweep(&root).map(|()| lock));
            let lock = opened.map_err(|source| failed(&root, source))?;
            Ok(Self { root, _lock: lock })
        })
        .await
    }

    /// The folder with that digest, if it is here and unaltered.
    pub(super) fn find(&self, digest: &str) -> Option<ModelFolder> {
        let path = self.root.join(plain(digest));
        let folder = ModelFolder::open(&path).ok()?;
        folder.require_digest(digest).is_ok().then_some(folder)
    }

    /// A folder to fetch into, removed if it is not kept.
    pub(super) fn incoming(&self) -> Result<TempDir, LoadError> {
        let made = tempfile::Builder::new().prefix(INCOMING).tempdir_in(&self.root);
        made.map_err(|source| failed(&self.root, source))
    }

    /// Completes a fetched folder, and gives it its place.
    pub(super) fn keep(
        &self,
        incoming: TempDir,
        manifest: &[u8],
        digest: &str,
    ) -> Result<ModelFolder, LoadError> {
        let target = self.root.join(plain(digest));
        let kept = write_manifest(incoming.path(), manifest)
            .and_then(|()| if target.exists() { fs::remove_dir_all(&target) } else { Ok(()) })
            .and_then(|()| fs::rename(incoming.path(), &target))
            .and_then(|()| File::open(&self.root)?.sync_all());
        kept.map_err(|source| failed(&target, source))?;
        // It has moved, so that there is nothing left to remove.
        _ = incoming.keep();
        Ok(ModelFolder::open(&target)?)
    }
}

/// Opens a listed file for writing. Its path was checked with the manifest.
pub(super) fn create(folder: &Path, entry: &FileEntry) -> Result<File, LoadError> {
    let path = folder.join(&entry.path);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&path));
    made.map_err(|source| failed(&path, source))
}

pub(super) fn failed(path: &Path, source: io::Error) -> LoadError {
    LoadError::Store { path: path.display().to_string(), source }
}

fn plain(digest: &str) -> String {
    digest.trim_start_matches("sha256:").to_ascii_lowercase()
}

fn write_manifest(folder: &Path, manifest: &[u8]) -> io::Result<()> {
    let path = folder.join(MANIFEST_NAME);
    fs::write(&path, manifest)?;
    File::open(&path)?.sync_all()?;
    File::open(folder)?.sync_all()
}

fn lock(root: &Path) -> io::Result<File> {
    fs::create_dir_all(root)?;
    let lock = File::create(root.join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(INCOMING) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
