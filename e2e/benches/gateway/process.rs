//! A proxy's process: started on the first core, and what it uses.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::callers::TEXT;

/// Ticks a second of the times in /proc.
const TICKS: u64 = 100;
/// Longest that a proxy may take to be ready.
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for process in self.processes() {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// It and its children.
    fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        std::iter::once(own).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks = |pid: u32| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name before them may hold spaces; it ends with the last bracket.
            let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
            after_name.split_whitespace().skip(11).take(2).filter_map(|time| time.parse::<u64>().ok()).sum()
        };
        Duration::from_millis(self.processes().into_iter().map(ticks).sum::<u64>() * 1000 / TICKS)
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let resident = |pid: u32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
        };
        self.processes().into_iter().map(resident).sum()
    }
}

/// The core that the proxies do not use.
pub(crate) fn keep_to_second_core() -> Result<()> {
    let own = std::process::id().to_string();
    let status = Command::new("taskset").args(["-acp", "1", &own]).stdout(Stdio::null()).status();
    if !status.context("cannot run taskset")?.success() {
        bail!("this benchmark needs two cores");
    }
    Ok(())
}

/// Starts a proxy that listens on that port of the loopback address.
pub(crate) fn spawn(name: &'static str, port: u16, line: &Command) -> Result<Proxy> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(line.get_program()).args(line.get_args());
    for (key, value) in line.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(Proxy { name, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), child })
}

/// Waits until it answers with what a pod says.
pub(crate) fn wait_ready(proxy: &Proxy) -> Result<()> {
    let begun = Instant::now();
    let body = json!({"input": TEXT}).to_string();
    loop {
        let url = format!("http://{}/v1/audio/speech", proxy.address);
        let answer = ureq::post(url).content_type("application/json").send(&body);
        match answer {
            Ok(answer) if answer.headers().get("x-tts-degraded").is_none() => return Ok(()),
            answer if begun.elapsed() > START_TIMEOUT => {
                bail!("{} does not answer: {:?}", proxy.name, answer.map(|answer| answer.status()));
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
