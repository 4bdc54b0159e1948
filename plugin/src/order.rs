//! A command on its way to the fleet.

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::command::{Verb, plan};

/// How often the fleet is read and written before somebody else has been faster
/// too often.
const TRIES: usize = 5;

/// Writes a command on the fleet: in words, what follows. What others have said
/// meanwhile is read and kept, and may leave nothing to say.
pub(crate) async fn give(cluster: &Cluster, verb: Verb, fleet: &str, pool: Option<&str>) -> Result<String> {
    for _ in 0..TRIES {
        let read = cluster.fleet(fleet).await?;
        let plan = plan(verb, &read, pool, Timestamp::now())?;
        if cluster.annotate(&read, verb.annotation(), &plan.value).await? {
            return Ok(plan.follows);
        }
    }
    bail!("others changed the fleet {fleet} at each of {TRIES} tries, so nothing was written; try again")
}

#[cfg(test)]
mod tests;
