//! Programs of cargo's that are built here when they are first needed.

use std::path::PathBuf;

use anyhow::Result;
use ttsfleet_e2e::tools::cache_dir;

use crate::run::{cargo, run};

/// The program `name`, built on first use. Its own folder keeps its build from
/// rebuilding ours.
pub(crate) fn ensure(name: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let folder = cache_dir()?.join("programs").join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.exists() {
        let mut install = cargo(&["install", name, "--locked", "--version", version, "--root"]);
        install.arg(&folder).args(options);
        // Optimised code would take longer to make than it saves.
        install.args(["--profile", "dev"]).env("CARGO_TARGET_DIR", folder.join("target"));
        run(&mut install)?;
        std::fs::remove_dir_all(folder.join("target"))?;
    }
    Ok(program)
}
