//! What the user sees during long steps.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Receives what is being done, how far it is and how long it may still take.
pub trait Progress: Sync {
    /// A step is under way: called again every second or so while it lasts.
    fn step(&self, step: &Step<'_>);
    /// Something worth one line: a step that ended, a choice that was made.
    fn note(&self, line: &str);
}

/// A step as it stands now.
#[derive(Debug)]
pub struct Step<'a> {
    /// What is being done, as in "building etcd".
    pub what: &'a str,
    /// A word on how far it is, as in "312 packages".
    pub detail: &'a str,
    /// Since when.
    pub elapsed: Duration,
    /// How long it took the last time, or usually takes.
    pub typical: Option<Duration>,
}

impl Step<'_> {
    /// The step in one line, with the time that is probably left.
    pub fn line(&self) -> String {
        let mut line = format!("{} ({})", self.what, clock(self.elapsed));
        if !self.detail.is_empty() {
            line.push_str(&format!(", {}", self.detail));
        }
        match self.typical {
            Some(typical) if typical > self.elapsed => {
                let percent = 100 * self.elapsed.as_secs() / typical.as_secs().max(1);
                line.push_str(&format!(", {percent} %, about {} left", clock(typical - self.elapsed)));
            }
            Some(typical) => {
                line.push_str(&format!(", usually {}: should end any moment", clock(typical)));
            }
            None => {}
        }
        line
    }
}

/// A duration as people say it: "45 s", "3 min 05 s".
pub fn clock(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// Says nothing.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _: &Step<'_>) {}
    fn note(&self, _: &str) {}
}

/// Writes to standard error: one line that changes on a terminal, a line every
/// 20 seconds elsewhere.
#[derive(Debug)]
pub struct Console {
    terminal: bool,
    last: std::sync::Mutex<Option<Instant>>,
}

impl Default for Console {
    fn default() -> Self {
        Console { terminal: std::io::stderr().is_terminal(), last: std::sync::Mutex::new(None) }
    }
}

impl Progress for Console {
    fn step(&self, step: &Step<'_>) {
        let Ok(mut last) = self.last.lock() else { return };
        if self.terminal {
            write_error(&format!("\r\x1b[2K  {}", step.line()));
        } else if last.is_none_or(|at| at.elapsed() > Duration::from_secs(20)) {
            *last = Some(Instant::now());
            write_error(&format!("  {}\n", step.line()));
        }
    }

    fn note(&self, line: &str) {
        let erase = if self.terminal { "\r\x1b[2K" } else { "" };
        write_error(&format!("{erase}  {line}\n"));
    }
}

fn write_error(text: &str) {
    // A closed standard error must not stop the work.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(elapsed: u64, typical: Option<u64>) -> String {
        Step {
            what: "building etcd",
            detail: "12 packages",
            elapsed: Duration::from_secs(elapsed),
            typical: typical.map(Duration::from_secs),
        }
        .line()
    }

    #[test]
    fn a_step_tells_how_long_is_left() {
        assert_eq!(line(30, Some(120)), "building etcd (30 s), 12 packages, 25 %, about 1 min 30 s left");
    }

    #[test]
    fn a_step_that_overruns_promises_nothing() {
        assert!(line(130, Some(120)).ends_with("usually 2 min 00 s: should end any moment"));
        assert!(line(130, None).ends_with("12 packages"));
    }
}
