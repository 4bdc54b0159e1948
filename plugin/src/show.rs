//! The status on the terminal, once or again and again.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::status;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// To the upper left corner, and everything below it gone.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Shows a fleet.
pub(crate) async fn once(cluster: &Cluster, fleet: &str) -> Result<()> {
    anstream::print!("{}", look(cluster, fleet).await?);
    Ok(())
}

/// Shows a fleet until Ctrl-C: on a terminal in place, elsewhere one picture
/// below the other. What keeps it from looking once is shown instead.
pub(crate) async fn watch(cluster: &Cluster, fleet: &str) -> Result<()> {
    let mut shown = look(cluster, fleet).await?;
    picture(&shown)?;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
            _ = ticks.tick() => {}
        }
        let text = look(cluster, fleet).await.unwrap_or_else(|error| format!("{error:#}\n"));
        if text != shown {
            picture(&text)?;
            shown = text;
        }
    }
}

async fn look(cluster: &Cluster, name: &str) -> Result<String> {
    let fleet = cluster.fleet(name).await?;
    let pods = cluster.pods(name).await?;
    Ok(status::render(&fleet, &pods, Timestamp::now()))
}

fn picture(text: &str) -> Result<()> {
    if stdout().is_terminal() {
        stdout().write_all(CLEAR)?;
        anstream::print!("{text}");
    } else {
        anstream::println!("{text}");
    }
    stdout().flush()?;
    Ok(())
}
