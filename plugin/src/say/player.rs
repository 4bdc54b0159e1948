//! Programs that play a file.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Those that are known, and what makes them play a file without more ado.
const PLAYERS: [(&str, &[&str]); 6] = [
    ("aplay", &["-q"]),
    ("paplay", &[]),
    ("afplay", &[]),
    ("ffplay", &["-nodisp", "-autoexit", "-loglevel", "error"]),
    ("mpv", &["--no-video", "--really-quiet"]),
    ("play", &["-q"]),
];

/// One that is there.
#[derive(Debug, PartialEq)]
pub(super) struct Player {
    program: PathBuf,
    options: &'static [&'static str],
}

impl Player {
    /// The first that is installed.
    ///
    /// # Errors
    /// If none is.
    pub(super) fn find() -> Result<Self> {
        Self::find_in(&std::env::var_os("PATH").unwrap_or_default())
    }

    pub(super) fn find_in(path: &OsStr) -> Result<Self> {
        let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
        let found = PLAYERS.iter().find_map(|(name, options)| {
            let program = folders.iter().map(|folder| folder.join(name)).find(|file| is_program(file))?;
            Some(Self { program, options })
        });
        let known = PLAYERS.map(|(name, _)| name).join(", ");
        found.with_context(|| {
            format!("nothing here plays audio: install one of {known}, or write a file with --out said.wav")
        })
    }

    /// Plays a WAV file to its end.
    pub(super) fn play(&self, wav: &[u8]) -> Result<()> {
        let mut file =
            tempfile::Builder::new().suffix(".wav").tempfile().context("cannot make a file to play")?;
        file.write_all(wav).context("cannot write the file to play")?;
        let name = self.program.display();
        let ended = Command::new(&self.program).args(self.options).arg(file.path()).status();
        let ended = ended.with_context(|| format!("cannot run {name}"))?;
        if !ended.success() {
            bail!("{name} does not play it ({ended}); write a file with --out said.wav");
        }
        Ok(())
    }
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}
