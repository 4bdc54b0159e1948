//! A voice with faults that no weights and no table can give it: it takes long,
//! stops half-way, or never comes to be loaded. Compiled for tests only.

use std::ops::ControlFlow;
use std::time::Instant;

use serde::Deserialize;

use crate::hibari::Hibari;
use crate::{AudioSink, FolderError, Manifest, ModelFolder, Script, SpeechError, SpeechModel, Utterance};

/// What is wrong with the voice: `faults.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Faults {
    /// Share of the audio that is given, 0 to 1.
    truncate: Option<f32>,
    /// Seconds of silence before the voice begins.
    silence_first: Option<f32>,
    /// How many times as long as the voice it takes, 1 and more.
    slow: Option<f64>,
    /// Whether the server ends while it loads the voice.
    crash_at_load: bool,
    /// Whether loading never ends.
    hang_at_load: bool,
    /// MiB of memory taken while loading, and kept.
    hog_at_load_mib: usize,
}

struct Faulty {
    faults: Faults,
    voice: Hibari,
}

/// Loads the hibari voice beside which `faults.json` lies.
pub(crate) fn load(folder: &ModelFolder) -> Result<Box<dyn SpeechModel>, FolderError> {
    let faults: Faults = serde_json::from_slice(folder.bytes("faults.json")?)
        .map_err(|error| FolderError::Weights(format!("faults.json: {error}")))?;
    if faults.crash_at_load {
        std::process::abort();
    }
    if faults.hang_at_load {
        loop {
            std::thread::park();
        }
    }
    let hog: Vec<Vec<u8>> = (0..faults.hog_at_load_mib).map(|_| vec![1; 1 << 20]).collect();
    std::mem::forget(hog);
    Ok(Box::new(Faulty { faults, voice: Hibari::load(folder)? }))
}

impl SpeechModel for Faulty {
    fn manifest(&self) -> &Manifest {
        self.voice.manifest()
    }

    fn read(&self, utterance: &Utterance<'_>) -> Result<Script, SpeechError> {
        self.voice.read(utterance)
    }

    fn say(&self, script: &Script, sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
        if let Some(seconds) = self.faults.silence_first {
            // It tells by the next piece where nobody listens any longer.
            let _ = sink(&vec![0.0; (seconds * self.manifest().sample_rate as f32) as usize]);
        }
        let mut audio = Vec::new();
        let mut working = Instant::now();
        self.voice.say(script, &mut |samples| {
            if let Some(factor) = self.faults.slow {
                std::thread::sleep(working.elapsed().mul_f64(factor - 1.0));
            }
            let flow = if self.faults.truncate.is_some() {
                audio.extend_from_slice(samples);
                ControlFlow::Continue(())
            } else {
                sink(samples)
            };
            working = Instant::now();
            flow
        })?;
        if let Some(share) = self.faults.truncate {
            audio.truncate((audio.len() as f32 * share) as usize);
            // Nothing follows that could be broken off.
            let _ = sink(&audio);
        }
        Ok(())
    }
}
