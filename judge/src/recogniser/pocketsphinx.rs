//! Debian's pocketsphinx, which hears English.
//!
//! Starting the program costs as much as listening to two seconds of speech,
//! so one process listens to clip after clip: it reads the list of clips from
//! its standard input, and what it heard is in what it logs. A clip is a file
//! that exists in memory only.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::{Duration, Instant},
};

use rustix::fs::{MemfdFlags, memfd_create};
use ttsfleet_ears::Clip;

use super::{Recogniser, RecogniserError};
use crate::normalise::Script;

const RATE: u32 = 16_000;
/// It needs a tenth of the clip's length on one whole core; this is for a tenth
/// of a core.
const SECONDS_EACH: f64 = 5.0;
const SECONDS_AT_LEAST: f64 = 30.0;
/// Longest line that is read from it.
const MOST_LINE_BYTES: u64 = 64 << 10;
/// Lines that may wait to be read.
const MOST_LINES: usize = 1024;

/// Where its files are.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Place {
    /// The program `pocketsphinx_batch`.
    #[arg(long = "pocketsphinx", default_value = "/usr/bin/pocketsphinx_batch")]
    pub program: PathBuf,

    /// Folder with its English language: `en-us`, `en-us.lm.bin` and
    /// `cmudict-en-us.dict`.
    #[arg(long = "pocketsphinx-model", default_value = "/usr/share/pocketsphinx/model/en-us")]
    pub model: PathBuf,
}

/// The recogniser in the image.
pub struct Pocketsphinx {
    place: Place,
    running: Option<Running>,
    clips: u64,
}

impl Pocketsphinx {
    /// Nothing is started before the first clip.
    pub fn new(place: Place) -> Self {
        Self { place, running: None, clips: 0 }
    }

    fn error(&self, cause: impl Into<String>) -> RecogniserError {
        RecogniserError::Program { program: self.place.program.display().to_string(), cause: cause.into() }
    }
}

impl Recogniser for Pocketsphinx {
    fn hears(&self, script: Script) -> bool {
        script == Script::Latin
    }

    fn transcribe(&mut self, clip: &Clip) -> Result<String, RecogniserError> {
        let file = in_memory(clip).map_err(|error| self.error(error.to_string()))?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        self.clips += 1;
        let id = format!("clip-{}", self.clips);
        let seconds = (clip.seconds() * SECONDS_EACH).max(SECONDS_AT_LEAST);
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.place).map_err(|error| self.error(error.to_string()))?,
        };
        match running.listen(&path, &id, Duration::from_secs_f64(seconds)) {
            Ok(text) => {
                self.running = Some(running);
                Ok(text)
            }
            // A process that broke once is not trusted with the next clip.
            Err(Stopped::Late) => Err(RecogniserError::TooSlow(seconds as u64)),
            Err(Stopped::Ended) => Err(self.error(running.end())),
        }
    }
}

/// A process that listens.
struct Running {
    process: Child,
    list: ChildStdin,
    lines: Receiver<String>,
}

enum Stopped {
    Late,
    Ended,
}

impl Running {
    fn start(place: &Place) -> std::io::Result<Self> {
        let model = &place.model;
        let mut process = Command::new(&place.program)
            .arg("-hmm")
            .arg(model.join("en-us"))
            .arg("-lm")
            .arg(model.join("en-us.lm.bin"))
            .arg("-dict")
            .arg(model.join("cmudict-en-us.dict"))
            .args(["-ctl", "/dev/stdin", "-adcin", "yes", "-cepext", "", "-hyp", "/dev/null"])
            // What it makes of one clip must not depend on those before it.
            .args(["-cmn", "batch", "-seed", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(list), Some(log)) = (process.stdin.take(), process.stderr.take()) else {
            return Err(std::io::Error::other("it has no pipes"));
        };
        let (lines, receiver) = sync_channel(MOST_LINES);
        std::thread::Builder::new().name("recogniser".to_owned()).spawn(move || {
            let mut log = BufReader::new(log);
            let mut line = Vec::new();
            while let Ok(1..) = (&mut log).take(MOST_LINE_BYTES).read_until(b'\n', &mut line) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if lines.send(text).is_err() {
                    return;
                }
                line.clear();
            }
        })?;
        Ok(Self { process, list, lines: receiver })
    }

    fn listen(&mut self, path: &str, id: &str, time: Duration) -> Result<String, Stopped> {
        let until = Instant::now() + time;
        writeln!(self.list, "{path} 0 -1 {id}").map_err(|_| Stopped::Ended)?;
        let (score, done) = (format!(" ({id} "), format!("{id} done "));
        let mut heard = String::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => Stopped::Late,
                RecvTimeoutError::Disconnected => Stopped::Ended,
            })?;
            if line.starts_with(&done) {
                return Ok(heard);
            }
            if let Some((text, _)) = line.split_once(&score) {
                heard = text.trim().to_owned();
            }
        }
    }

    /// How it ended.
    fn end(mut self) -> String {
        _ = self.process.kill();
        match self.process.wait() {
            Ok(status) => format!("it ended with {status}"),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The clip as the program reads it: 16-bit samples without a header.
fn in_memory(clip: &Clip) -> std::io::Result<File> {
    let clip = clip.at(RATE);
    let samples = &clip.samples;
    let bytes: Vec<u8> = samples
        .iter()
        .flat_map(|sample| ((sample * 32_767.0).clamp(-32_768.0, 32_767.0) as i16).to_le_bytes())
        .collect();
    let mut file = File::from(memfd_create("clip", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    Ok(file)
}
