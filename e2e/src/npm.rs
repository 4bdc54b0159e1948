//! Packages of Node that tests run, each set in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;
use crate::progress::Progress;
use crate::tools::installed;

/// The folder with these packages (`name@version`) and all they need, installed
/// on first use. Scripts that import them have to lie in it.
///
/// # Errors
/// When npm is not there or cannot install them.
pub fn packages(name: &str, wanted: &[&str], progress: &dyn Progress) -> Result<PathBuf> {
    let versions = wanted.join("-").replace(['/', '@'], "_");
    installed(&format!("node-{name}-{versions}"), progress, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(folder);
        run(npm.args(wanted)).with_context(|| format!("npm cannot install {}", wanted.join(", "))).map(drop)
    })
}
