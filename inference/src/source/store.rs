//! Fetched model folders on disk, each under its digest. A folder appears
//! there whole or not at all.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ttsfleet_models::{FileEntry, MANIFEST_NAME, ModelFolder};

use super::{LoadError, blocking};

/// Folders that are of no use to anyone who did not make them.
const INCOMING: &str = ".incoming-";
/// Folders of a pinned digest, fetched in part, to be gone on with.
const PARTIAL: &str = ".partial-";
const DIGEST_DIGITS: usize = 64;

/// The store, locked against other servers for as long as this lives.
pub(super) struct Store {
    root: PathBuf,
    /// Bytes that it may hold.
    most: u64,
    _lock: File,
}

impl Store {
    /// Makes the folder, waits for its lock, and removes what an earlier
    /// server left unfinished, but for the part of `pinned` that is there.
    pub(super) async fn open(
        root: PathBuf,
        most: Option<u64>,
        pinned: Option<String>,
    ) -> Result<Self, LoadError> {
        blocking(move || {
            let keep = pinned.map(|digest| format!("{PARTIAL}{}", plain(&digest)));
            let opened = lock(&root).and_then(|lock| sweep(&root, keep.as_deref()).map(|()| lock));
            let lock = opened.map_err(|source| failed(&root, source))?;
            Ok(Self { root, most: most.unwrap_or(u64::MAX), _lock: lock })
        })
        .await
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with that digest, if one is given, and here and unaltered.
    pub(super) async fn look_up(
        store: &Arc<Self>,
        digest: Option<String>,
    ) -> Result<Option<ModelFolder>, LoadError> {
        let Some(digest) = digest else { return Ok(None) };
        let store = Arc::clone(store);
        blocking(move || Ok(store.find(&digest))).await
    }

    fn find(&self, digest: &str) -> Option<ModelFolder> {
        let name = plain(digest);
        let folder = is_digest(&name).then(|| ModelFolder::open(&self.root.join(name)))?.ok()?;
        folder.require_digest(digest).is_ok().then_some(folder)
    }

    /// A folder to fetch a model into; one that is resumable is the one begun
    /// earlier, if there is one, and stays when it is dropped.
    pub(super) fn begin(&self, digest: &str, resumable: bool) -> Result<Unfinished, LoadError> {
        let prefix = if resumable { PARTIAL } else { INCOMING };
        let path = self.root.join(format!("{prefix}{}", plain(digest)));
        fs::create_dir_all(&path).map_err(|source| failed(&path, source))?;
        Ok(Unfinished { path, stays: resumable })
    }

    /// Bytes free to us: on the store's file system, and of what it may hold.
    pub(super) fn free(&self) -> Result<u64, LoadError> {
        let about = rustix::fs::statvfs(&self.root).map_err(|error| failed(&self.root, error.into()))?;
        let disk = about.f_bavail.saturating_mul(about.f_frsize);
        let held = size(&self.root).map_err(|source| failed(&self.root, source))?;
        Ok(disk.min(self.most.saturating_sub(held)))
    }

    /// Completes a fetched folder, checks it as a whole, and gives it its place.
    pub(super) fn keep(
        &self,
        mut unfinished: Unfinished,
        files: &[FileEntry],
        manifest: &[u8],
        digest: &str,
    ) -> Result<ModelFolder, LoadError> {
        let placed = self.place(&unfinished.path, files, manifest, digest);
        // Now it has moved, or it is of no use.
        unfinished.stays = placed.is_ok();
        placed
    }

    fn place(
        &self,
        path: &Path,
        files: &[FileEntry],
        manifest: &[u8],
        digest: &str,
    ) -> Result<ModelFolder, LoadError> {
        let target = self.root.join(plain(digest));
        complete(path, files, manifest).map_err(|source| failed(path, source))?;
        let folder = ModelFolder::open(path)?;
        let placed = if target.exists() { fs::remove_dir_all(&target) } else { Ok(()) };
        let placed =
            placed.and_then(|()| fs::rename(path, &target)).and_then(|()| File::open(&self.root)?.sync_all());
        placed.map_err(|source| failed(&target, source))?;
        Ok(folder)
    }
}

/// A folder on its way into the store.
pub(super) struct Unfinished {
    path: PathBuf,
    stays: bool,
}

impl Unfinished {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that are there of a file.
    pub(super) fn has(&self, entry: &FileEntry) -> u64 {
        fs::metadata(self.path.join(&entry.path)).map_or(0, |about| about.len().min(entry.size))
    }

    /// Nothing of it is worth going on with.
    pub(super) fn give_up(&mut self) {
        self.stays = false;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.stays
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove an unfinished model");
        }
    }
}

/// Removes the models with other digests, unless another server is at work in
/// the store: what it needs is not ours to know.
pub(super) fn remove_all_but(root: &Path, digests: &[String]) -> io::Result<()> {
    let kept: BTreeSet<String> = digests.iter().map(|digest| plain(digest)).collect();
    if !root.exists() {
        return Ok(());
    }
    let lock = File::create(root.join(".lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name.strip_prefix(PARTIAL).unwrap_or(&name);
        if is_digest(name) && !kept.contains(name) {
            tracing::info!(path = %entry.path().display(), "removing a model from the store");
            fs::remove_dir_all(entry.path())?;
        }
    }
    File::open(root)?.sync_all()
}

pub(super) fn failed(path: &Path, source: io::Error) -> LoadError {
    LoadError::Store { path: path.display().to_string(), source }
}

fn plain(digest: &str) -> String {
    digest.trim_start_matches("sha256:").to_ascii_lowercase()
}

/// Bytes of all files in a folder and those in it.
fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let about = entry.metadata()?;
        Ok(sum + if about.is_dir() { size(&entry.path())? } else { about.len() })
    })
}

/// Only digests become names of folders.
fn is_digest(name: &str) -> bool {
    name.len() == DIGEST_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The manifest comes last: a folder without one is no model.
fn complete(folder: &Path, files: &[FileEntry], manifest: &[u8]) -> io::Result<()> {
    let listed: BTreeSet<PathBuf> = files.iter().map(|entry| PathBuf::from(&entry.path)).collect();
    let folders: BTreeSet<&Path> = listed.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let path = folder.join(MANIFEST_NAME);
    fs::write(&path, manifest)?;
    File::open(&path)?.sync_all()?;
    folders
        .into_iter()
        .chain([Path::new("")])
        .try_for_each(|inner| File::open(folder.join(inner))?.sync_all())
}

fn lock(root: &Path) -> io::Result<File> {
    fs::create_dir_all(root)?;
    let lock = File::create(root.join(".lock"))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        tracing::info!(path = %root.display(), "waiting for another server that holds the model store");
    }
    lock.lock()?;
    Ok(lock)
}

fn sweep(root: &Path, keep: Option<&str>) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let unfinished = name.starts_with(INCOMING) || name.starts_with(PARTIAL);
        if unfinished && keep != Some(name.as_str()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
