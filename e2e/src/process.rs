//! Background processes that outlive the program that started them, and are
//! found again by process id and start time: an id alone may be another
//! program's by now.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks between boot and its start.
    pub(crate) started: u64,
    /// Of the boot it was started in; start times repeat after a reboot.
    pub(crate) boot: u64,
}

impl Recorded {
    /// Records a process that was just started.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let pid = i32::try_from(pid).context("process id out of range")?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
        let (started, _) = parse_stat(&stat).context("unreadable process status")?;
        Ok(Recorded { pid, started, boot: boot_id() })
    }

    /// Whether it still runs; a zombie does not, once its last thread has gone:
    /// until then its ports are taken.
    pub(crate) fn alive(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        let threads = || std::fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count);
        self.boot == boot_id()
            && parse_stat(&stat).is_some_and(|(started, state)| {
                started == self.started && (!"ZX".contains(state) || threads() > 1)
            })
    }

    /// Whether it is alive and not stopped by a signal.
    pub(crate) fn runs(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        self.alive() && parse_stat(&stat).is_some_and(|(_, state)| state != 'T')
    }

    /// Sends a signal if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            // It may end between the look and the signal; that is fine.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL);
        let gone = wait_until(Duration::from_secs(10), || Ok(!self.alive()))?;
        if !gone {
            bail!("process {} does not die", self.pid);
        }
        Ok(())
    }
}

/// Start time and state out of a stat line; the program's name in brackets may
/// itself hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<(u64, char)> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// The first half of the random number that the kernel draws at boot.
fn boot_id() -> u64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// Starts a program in a session of its own, so that it survives us and no
/// Ctrl-C reaches it, with its output in a log file.
pub(crate) fn start_detached(program: &str, arguments: &[String], log: &Path) -> Result<Recorded> {
    let mut child = detached(program, arguments, log)?;
    let recorded = Recorded::of(child.id());
    // Reaped here if it ends before we do; otherwise init does it.
    std::thread::spawn(move || child.wait());
    recorded
}

/// The same as a child that the caller keeps.
pub(crate) fn detached(program: &str, arguments: &[String], log: &Path) -> Result<std::process::Child> {
    let open = || File::options().create(true).append(true).open(log);
    let output = open().with_context(|| format!("cannot open {}", log.display()))?;
    Command::new("setsid")
        .arg(program)
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {program}"))
}

/// Asks again and again until it holds; false when the time is over.
pub(crate) fn wait_until(limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        if holds()? {
            return Ok(true);
        }
        if start.elapsed() > limit {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse_the_status() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(parse_stat(stat), Some((4711, 'S')));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_ours() {
        let own = Recorded::of(std::process::id()).unwrap();
        assert!(own.alive());
        assert!(!Recorded { started: own.started + 1, ..own }.alive());
        assert!(!Recorded { boot: !own.boot, ..own }.alive());
    }

    #[test]
    fn a_killed_process_is_seen_as_gone() {
        let log = std::env::temp_dir().join(format!("ttsfleet-process-{}.log", std::process::id()));
        let sleeper = start_detached("sleep", &["600".to_owned()], &log).unwrap();
        assert!(sleeper.alive());
        sleeper.kill().unwrap();
        assert!(!sleeper.alive());
        std::fs::remove_file(log).unwrap();
    }
}
