//! `cargo deny`: licences, banned crates and sources of all dependencies.

use anyhow::Result;

use crate::programs::ensure;
use crate::run::{root, run};

/// Checks the dependencies. Known vulnerabilities are not among the checks, as
/// their list comes from a place that not every machine reaches:
/// `cargo deny check advisories` looks there.
pub(crate) fn check() -> Result<()> {
    let deny = ensure("cargo-deny", "0.20.2", &["--no-default-features"])?;
    let mut command = std::process::Command::new(deny);
    command.args(["--offline", "check", "licenses", "bans", "sources"]).current_dir(root());
    run(&mut command)
}
