//! How the last rollouts ended.

use anyhow::{Result, bail};
use jiff::Timestamp;
use kube::ResourceExt;
use ttsfleet_crds::{RolloutEntry, TtsDeployment};

use crate::tree::{Mark, Row, render as tree};
use crate::words::{age, short};

/// All that is remembered, the newest first.
pub(crate) fn render(fleet: &TtsDeployment, pool: Option<&str>, now: Timestamp) -> Result<String> {
    let pools = fleet.status.iter().flat_map(|status| &status.pools);
    let pools = pools.filter(|found| pool.is_none_or(|name| name == found.name));
    let roots = pools.map(|pool| Row::new(format!("pool {}", pool.name)).with(rows(&pool.history, now)));
    let roots: Vec<Row> = roots.collect();
    match (roots.is_empty(), pool) {
        (false, _) => Ok(tree(&roots)),
        (true, Some(name)) => bail!("the fleet {} has no pool {name}", fleet.name_any()),
        (true, None) => bail!("the operator has not seen the fleet {} yet", fleet.name_any()),
    }
}

/// One line for each.
pub(crate) fn rows(history: &[RolloutEntry], now: Timestamp) -> Vec<Row> {
    let row = |entry: &RolloutEntry| {
        let digest = entry.digest.as_deref().map(short).unwrap_or_default();
        Row::new(entry.model.clone())
            .status(mark(&entry.outcome), entry.outcome.clone())
            .age(age(Some(&entry.at), now))
            .info(format!("{digest} {}", entry.message).trim())
    };
    history.iter().map(row).collect()
}

/// Whether an outcome is what somebody wanted.
pub(crate) fn mark(outcome: &str) -> Mark {
    match outcome {
        "Promoted" => Mark::Good,
        "Superseded" | "Aborted" => Mark::Waiting,
        _ => Mark::Bad,
    }
}
