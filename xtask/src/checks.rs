//! `cargo xtask test` and `cargo xtask generate`.

use crate::run::{cargo, run};

/// Everything that must hold before a change lands.
pub fn all() -> anyhow::Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(&mut cargo(&["test", "--workspace"]))
}

/// Writes what is derived from code. Tests fail when it was forgotten.
pub fn generate() -> anyhow::Result<()> {
    let drift_tests =
        ["test", "--workspace", "--quiet", "--exclude", "ttsfleet-e2e", "--", "generated_files"];
    run(cargo(&drift_tests).env("TTSFLEET_GENERATE", "1"))
}
