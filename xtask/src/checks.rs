//! `cargo xtask test` and `cargo xtask generate`.

use crate::run::{cargo, run};

/// Everything that must hold before a change lands.
pub(crate) fn all() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(&mut cargo(&["test", "--workspace"]))
}

/// Writes what is derived from code: the tests that compare it do so when told.
pub(crate) fn generate() -> anyhow::Result<()> {
    let comparing = ["test", "--quiet", "-p", "ttsfleet-crds", "-p", "ttsfleet-wire"];
    run(cargo(&comparing).env("TTSFLEET_UPDATE", "1"))
}
