//! One file on its way to disk, hashed as it comes.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use ttsfleet_models::{FileEntry, FolderError};

use super::{LoadError, blocking, store::failed};

const READ_SIZE: usize = 1 << 20;

/// A file that is written from its beginning, or from where it was left.
pub(super) struct Arrival {
    file: File,
    path: PathBuf,
    digest: Sha256,
    length: u64,
    /// Whether some of it was there already.
    resumed: bool,
}

impl Arrival {
    /// Opens a listed file in a folder; its path was checked with the manifest.
    pub(super) async fn open(folder: &Path, entry: &FileEntry) -> Result<Self, LoadError> {
        let (path, size) = (folder.join(&entry.path), entry.size);
        blocking(move || {
            let opened = open(&path, size).map_err(|source| failed(&path, source))?;
            let (file, digest, length) = opened;
            Ok(Self { file, path, digest, length, resumed: length > 0 })
        })
        .await
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Begins again: the source gives nothing but whole files.
    pub(super) async fn restart(self) -> Result<Self, LoadError> {
        let Self { mut file, path, .. } = self;
        blocking(move || {
            file.set_len(0).and_then(|()| file.rewind()).map_err(|source| failed(&path, source))?;
            Ok(Self { file, path, digest: Sha256::new(), length: 0, resumed: false })
        })
        .await
    }

    pub(super) async fn write(mut self, piece: Bytes) -> Result<Self, LoadError> {
        blocking(move || {
            self.digest.update(&piece);
            self.file.write_all(&piece).map_err(|source| failed(&self.path, source))?;
            self.length += piece.len() as u64;
            Ok(self)
        })
        .await
    }

    /// Checks what has come. True if the file is whole; false if it is not,
    /// but only because of what was there before: then it is gone, and to be
    /// fetched from its beginning.
    pub(super) async fn finish(self, entry: &FileEntry) -> Result<bool, LoadError> {
        let entry = entry.clone();
        blocking(move || {
            let Self { file, path, digest, resumed, .. } = self;
            let actual: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            if actual.eq_ignore_ascii_case(&entry.sha256) {
                file.sync_all().map_err(|source| failed(&path, source))?;
                return Ok(true);
            }
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            if resumed {
                return Ok(false);
            }
            let what = format!("sha256 {actual} instead of {}", entry.sha256);
            Err(FolderError::Altered { path: entry.path, what }.into())
        })
        .await
    }
}

fn open(path: &Path, size: u64) -> io::Result<(File, Sha256, u64)> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    let (mut digest, mut length) = (Sha256::new(), 0);
    let mut piece = vec![0; READ_SIZE];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((file, digest, length));
        }
        length += read as u64;
        if length > size {
            // What there is cannot be the beginning of it.
            file.set_len(0)?;
            file.rewind()?;
            return Ok((file, Sha256::new(), 0));
        }
        digest.update(&piece[..read]);
    }
}
