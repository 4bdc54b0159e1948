//! `cargo deny`: licences, banned crates and sources of all dependencies.

use std::path::PathBuf;

use anyhow::Result;
use ttsfleet_e2e::tools::cache_dir;

use crate::run::{cargo, root, run};

const VERSION: &str = "0.20.2";

/// Checks the dependencies. Known vulnerabilities are not among the checks, as
/// their list comes from a place that not every machine reaches:
/// `cargo deny check advisories` looks there.
pub(crate) fn check() -> Result<()> {
    let deny = ensure()?;
    let mut command = std::process::Command::new(deny);
    command.args(["--offline", "check", "licenses", "bans", "sources"]).current_dir(root());
    run(&mut command)
}

/// The program, built on first use. Its own folder keeps its build from
/// rebuilding ours.
fn ensure() -> Result<PathBuf> {
    let folder = cache_dir()?.join("programs").join(format!("cargo-deny-{VERSION}"));
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut install = cargo(&["install", "cargo-deny", "--locked", "--no-default-features"]);
        install.args(["--version", VERSION, "--root"]).arg(&folder);
        // Optimised code would take longer to make than it saves.
        install.args(["--profile", "dev"]).env("CARGO_TARGET_DIR", folder.join("target"));
        run(&mut install)?;
        std::fs::remove_dir_all(folder.join("target"))?;
    }
    Ok(program)
}
