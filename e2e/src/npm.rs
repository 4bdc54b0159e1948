//! Packages of Node that tests run, each set in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;
use crate::progress::Progress;
use crate::tools::cache_dir;

/// The folder with these packages (`name@version`) and all they need, installed
/// on first use. Scripts that import them have to lie in it.
///
/// # Errors
/// When npm is not there or cannot install them.
pub fn packages(name: &str, wanted: &[&str], progress: &dyn Progress) -> Result<PathBuf> {
    let versions = wanted.join("-").replace(['/', '@'], "_");
    let folder = cache_dir()?.join("programs").join(format!("node-{name}-{versions}"));
    if folder.exists() {
        return Ok(folder);
    }
    progress.note(&format!("installing {} from Node's packages", wanted.join(", ")));
    let unfinished = folder.with_extension(format!("unfinished-{}", std::process::id()));
    std::fs::create_dir_all(&unfinished)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&unfinished);
    run(npm.args(wanted)).with_context(|| format!("npm cannot install {}", wanted.join(", ")))?;
    std::fs::rename(&unfinished, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
