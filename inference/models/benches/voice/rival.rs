//! onnxruntime in a Python process of its own, on one thread.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::json;

/// What the other side runs on. scipy makes the package's own FFTs fast.
const PACKAGES: [&str; 6] = [
    "hibari-tts==0.2.1",
    "numpy==2.4.6",
    "onnx==1.17.0",
    "onnxruntime==1.23.2",
    "safetensors==0.8.0",
    "scipy==1.17.0",
];

/// Seconds one text took, and how long it sounds.
#[derive(Debug, Deserialize)]
pub(crate) struct Timing {
    pub(crate) text: f64,
    pub(crate) first: f64,
    pub(crate) total: f64,
    pub(crate) audio: f64,
}

pub(crate) struct Rival {
    process: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Rival {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let python = environment()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(python)
            .arg(source.join("benches/voice/rival.py"))
            .arg(source.join("tests/golden"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OMP_NUM_THREADS", "1")
            .env("OPENBLAS_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the onnxruntime side")?;
        let requests = process.stdin.take().context("no stdin")?;
        let answers = BufReader::new(process.stdout.take().context("no stdout")?).lines();
        let mut rival = Self { process, requests, answers };
        ensure!(rival.answer()? == "ready", "the onnxruntime side did not start");
        Ok(rival)
    }

    pub(crate) fn speak(&mut self, engine: &str, text: &str) -> anyhow::Result<Timing> {
        writeln!(self.requests, "{}", json!({ "engine": engine, "text": text }))?;
        Ok(serde_json::from_str(&self.answer()?)?)
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        Ok(self.answers.next().context("the onnxruntime side ended")??)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // The bench is over; a process that is gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Python environment with the pinned packages, made once and cached.
fn environment() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("TTSFLEET_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("ttsfleet")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".cache/ttsfleet")))
        .context("set TTSFLEET_CACHE or HOME")?;
    let venv = cache.join("voice/bench-venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("packages");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed with {status}");
    Ok(())
}
