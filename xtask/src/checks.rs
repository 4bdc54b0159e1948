//! `cargo xtask test` and `cargo xtask generate`.

use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::progress::Console;

use crate::run::{cargo, run};

/// Everything that must hold before a change lands.
pub(crate) fn all() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    crate::deny::check()?;
    run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))?;
    Cluster::down(crate::TEST_CLUSTER, &Console::default())?;
    Ok(())
}

/// Writes what is derived from code: the tests that compare it do so when told.
pub(crate) fn generate() -> anyhow::Result<()> {
    let comparing = ["test", "--quiet", "-p", "ttsfleet-crds", "-p", "ttsfleet-wire"];
    run(cargo(&comparing).env("TTSFLEET_UPDATE", "1"))
}
