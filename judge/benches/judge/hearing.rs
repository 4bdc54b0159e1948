//! Listens to each clip once and remembers on disk its words and its score.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Parser;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ttsfleet_e2e::{
    progress::{Console, Progress, Step},
    recogniser, tools,
};
use ttsfleet_ears::{Clip, HEARD_RATE, Level, Mos, prosody};
use ttsfleet_judge::{
    cer::character_error_rate,
    recogniser::{Place, Pocketsphinx, Recogniser},
    tally::Sample,
};

/// Changes when what is remembered would be another.
const VERSION: &str = "judge-bench-2";

/// What was heard in one clip.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Heard {
    transcript: String,
    mos: f64,
}

/// All that listens, and its memory.
pub(crate) struct Hearing {
    recogniser: Pocketsphinx,
    mos: Mos,
    memory: PathBuf,
    progress: Console,
    started: std::time::Instant,
}

#[derive(Parser)]
struct Defaults {
    #[command(flatten)]
    place: Place,
}

impl Hearing {
    pub(crate) fn load() -> Result<Self> {
        let progress = Console::default();
        recogniser::Recogniser::ensure(&progress)?;
        let memory = tools::cache_dir()?.join(VERSION);
        fs::create_dir_all(&memory).with_context(|| format!("cannot make {}", memory.display()))?;
        Ok(Self {
            recogniser: Pocketsphinx::new(Defaults::parse_from([""]).place),
            mos: Mos::load()?,
            memory,
            progress,
            started: std::time::Instant::now(),
        })
    }

    /// How far it is.
    pub(crate) fn note(&self, done: usize, of: usize, what: &str) {
        let detail = format!("{what}: prompt {done} of {of}");
        let elapsed = self.started.elapsed();
        self.progress.step(&Step { what: "listening", detail: &detail, elapsed, typical: None });
    }

    /// What the judge would measure in a pair. A clip that could not be made is
    /// an error of the bench.
    pub(crate) fn pair(
        &mut self,
        meant: &str,
        baseline: std::result::Result<&Clip, &anyhow::Error>,
        candidate: std::result::Result<&Clip, &anyhow::Error>,
    ) -> Result<Sample> {
        let made = |clip: std::result::Result<&Clip, &anyhow::Error>| {
            clip.cloned().map_err(|error| anyhow::anyhow!("{error:#}"))
        };
        let (baseline, candidate) = (made(baseline)?, made(candidate)?);
        let (first, second) = (self.hear(&baseline)?, self.hear(&candidate)?);
        let rate = |heard: &Heard| character_error_rate(meant, &heard.transcript);
        Ok(Sample {
            from_prompt: true,
            cer: rate(&first).zip(rate(&second)).map(<[f64; 2]>::from),
            mos: Some([first.mos, second.mos]),
            prosody: Some(distance(&baseline, &candidate)),
            loudness: Some([Level::of(&baseline).loudness, Level::of(&candidate).loudness]),
            treble: Some([Level::of(&baseline).treble, Level::of(&candidate).treble]),
            ..Sample::default()
        })
    }

    fn hear(&mut self, clip: &Clip) -> Result<Heard> {
        let file = self.memory.join(format!("{}.json", name(clip)));
        remembered(&file, || {
            let clip = clip.at(HEARD_RATE);
            let transcript = self.recogniser.transcribe(&clip)?;
            Ok(Heard { transcript, mos: f64::from(self.mos.score(&clip)?) })
        })
    }
}

/// Quickly heard, and not remembered.
fn distance(baseline: &Clip, candidate: &Clip) -> f64 {
    let [baseline, candidate] = [baseline, candidate].map(prosody::analyse);
    f64::from(prosody::distance(&baseline, &candidate).total)
}

fn remembered<T: Serialize + for<'a> Deserialize<'a>>(
    file: &Path,
    make: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if let Ok(bytes) = fs::read(file) {
        return serde_json::from_slice(&bytes).with_context(|| format!("{} is broken", file.display()));
    }
    let made = make()?;
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_vec(&made)?)?;
    fs::rename(&unfinished, file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(made)
}

fn name(clip: &Clip) -> String {
    let mut digest = Sha256::new();
    digest.update(clip.rate.to_le_bytes());
    clip.samples.iter().for_each(|sample| digest.update(sample.to_le_bytes()));
    ttsfleet_models::sha256_hex(&digest.finalize())
}
