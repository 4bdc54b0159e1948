//! Python packages that tests and benchmarks run, each in a folder of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;
use crate::progress::Progress;
use crate::tools::installed;

/// The folder with a package of that version and all it needs, installed on
/// first use; a `PYTHONPATH`.
///
/// # Errors
/// When pip is not there or cannot install it.
pub fn package(name: &str, version: &str, progress: &dyn Progress) -> Result<PathBuf> {
    installed(&format!("python-{name}-{version}"), progress, |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
        run(pip.arg(folder).arg(format!("{name}=={version}")))
            .with_context(|| format!("pip cannot install {name}"))
            .map(drop)
    })
}
