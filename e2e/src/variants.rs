//! Voices to ship: the built-in one under other versions, sound or with one
//! fault each. What is shown and tested of rollouts is shown with them.

mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::command::write;
use weights::Weights;

/// Name of every variant's model; what tells them apart is the version.
pub const MODEL: &str = "hibari";

const WEIGHTS: &str = "hibari.safetensors";
/// Values that the decoder gives a frame for each of five parts: strength and
/// turn of the harmonics, strength of the noise, strength and phase of the rest.
const BINS: usize = 601;
/// Width of the network that knows durations and melody.
const CHANNELS: usize = 192;

type Change = fn(&mut Voice) -> Result<()>;

/// Every variant: its version, and what makes it.
const VARIANTS: [(&str, Change); 19] = [
    // The same numbers in four bytes each instead of one: every sample is equal.
    ("equal", |voice| voice.weights(Weights::widen)),
    ("better", |voice| voice.weights(Weights::widen)),
    ("noisy", |voice| {
        voice.weights(|weights| {
            weights.map("m.head.bias", |index, value| if index / BINS == 2 { value + NOISE } else { value })
        })
    }),
    ("wrong-melody", |voice| voice.json("hibari.json", &json!({"prosodyDilations": [1, 1, 1, 1, 1, 1]}))),
    ("monotone", |voice| {
        voice.weights(|weights| {
            weights.map("pn.pro_out.weight", |index, value| if is_pitch(index) { 0.0 } else { value })?;
            // In units of 100 Hz.
            weights.map("pn.pro_out.bias", |index, value| if index < 2 { 2.0 } else { value })
        })
    }),
    ("wrong-pitch", |voice| {
        voice.weights(|weights| {
            weights
                .map("pn.pro_out.weight", |index, value| if is_pitch(index) { value * 1.4 } else { value })?;
            weights.map("pn.pro_out.bias", |index, value| if index < 2 { value * 1.4 } else { value })
        })
    }),
    // Durations are logarithms.
    ("fast", |voice| voice.weights(|weights| weights.map("pn.dur.2.bias", |_, value| value - 0.4))),
    ("dropped-phonemes", |voice| voice.drop_phonemes(&["t", "s", "n", "ɹ"])),
    ("silent", |voice| {
        voice.weights(|weights| {
            let is_strength = |index: usize| [0, 2, 3].contains(&(index / BINS));
            weights.map("m.head.bias", |index, value| if is_strength(index) { value - 30.0 } else { value })
        })
    }),
    // Sums over such numbers are none, so that a text with the sound in the
    // middle of "vision" fails, and any other is spoken as ever.
    ("failing", |voice| {
        let symbol = voice.symbol("ʒ")?;
        voice.weights(|weights| {
            weights.map(
                "pn.text.emb.weight",
                |index, value| if index / CHANNELS == symbol { 3e38 } else { value },
            )
        })
    }),
    ("unloadable", |voice| voice.weights(|weights| weights.shorten("m.dec_norm.bias"))),
    ("altered", |voice| {
        voice.altered = true;
        Ok(())
    }),
    // From here on only for images with faults.
    ("truncated", |voice| voice.faulty(&json!({"truncate": 0.5}))),
    ("late-start", |voice| voice.faulty(&json!({"silenceFirst": 1.0}))),
    // Twice as slow for callers, who wait for more than the voice.
    ("slow", |voice| voice.faulty(&json!({"slow": 3.0}))),
    ("crashing", |voice| voice.faulty(&json!({"crashAtLoad": true}))),
    ("hanging", |voice| voice.faulty(&json!({"hangAtLoad": true}))),
    ("out-of-memory", |voice| voice.faulty(&json!({"hogAtLoadMib": 4096}))),
    // Sound, but larger than what small pods may store.
    ("large", |voice| {
        voice.files.insert("padding.bin".to_owned(), vec![0; 70 << 20]);
        Ok(())
    }),
];

/// How much louder the noise in a noisy voice is, as a logarithm.
const NOISE: f32 = 4.5;

/// Whether a value of `pn.pro_out.weight`, four rows of them, is part of the
/// melody and not of the loudness.
fn is_pitch(index: usize) -> bool {
    index / CHANNELS < 2
}

/// A model folder on disk.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Its version, and the name of its folder.
    pub version: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// `sha256:…` of its manifest.
    pub digest: String,
}

impl Variant {
    /// What a pool's `model` says to have it, where folders are served below
    /// an address.
    pub fn model(&self, address: &str) -> Value {
        json!({
            "name": MODEL,
            "version": self.version,
            "source": {"uri": format!("{address}/{}", self.version), "digest": self.digest},
        })
    }
}

/// Writes the folders of these versions below `parent`.
///
/// # Errors
/// When there is no such variant, or the disk takes no files.
pub fn write_folders(versions: &[&str], parent: &Path) -> Result<Vec<Variant>> {
    versions.iter().map(|version| write_folder(version, &parent.join(version))).collect()
}

fn write_folder(version: &str, folder: &Path) -> Result<Variant> {
    let Some((version, change)) = VARIANTS.into_iter().find(|(name, _)| *name == version) else {
        bail!("there is no variant {version} of the voice");
    };
    let mut voice = Voice::built_in()?;
    change(&mut voice).with_context(|| format!("cannot make the variant {version}"))?;
    let manifest = voice.manifest(version)?;
    if voice.altered {
        let last = voice.file(WEIGHTS)?.last_mut().context("no weights")?;
        *last ^= 1;
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for (path, bytes) in voice.files.iter().chain([(&"model.json".to_owned(), &manifest)]) {
        write(&folder.join(path), bytes)?;
    }
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&manifest)));
    Ok(Variant { version, folder: folder.to_owned(), digest })
}

/// A model folder in the making.
struct Voice {
    manifest: Value,
    files: BTreeMap<String, Vec<u8>>,
    /// Whether the weights differ from what the manifest says.
    altered: bool,
}

impl Voice {
    fn built_in() -> Result<Self> {
        let mut files: BTreeMap<String, Vec<u8>> =
            ttsfleet_voice::FILES.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        let manifest = files.remove("model.json").context("the built-in voice has no manifest")?;
        Ok(Self { manifest: serde_json::from_slice(&manifest)?, files, altered: false })
    }

    /// The manifest of the files as they are.
    fn manifest(&mut self, version: &str) -> Result<Vec<u8>> {
        let entries = self.files.iter().map(|(path, bytes)| {
            json!({"path": path, "size": bytes.len(), "sha256": hex::encode(Sha256::digest(bytes))})
        });
        self.manifest["files"] = entries.collect();
        self.manifest["name"] = MODEL.into();
        self.manifest["version"] = version.into();
        Ok(serde_json::to_vec_pretty(&self.manifest)?)
    }

    fn file(&mut self, path: &str) -> Result<&mut Vec<u8>> {
        self.files.get_mut(path).with_context(|| format!("the built-in voice has no {path}"))
    }

    fn json(&mut self, path: &str, content: &Value) -> Result<()> {
        self.files.insert(path.to_owned(), serde_json::to_vec(content)?);
        Ok(())
    }

    fn weights(&mut self, change: impl FnOnce(&mut Weights) -> Result<()>) -> Result<()> {
        let file = self.file(WEIGHTS)?;
        let mut weights = Weights::read(file)?;
        change(&mut weights)?;
        *file = weights.write()?;
        Ok(())
    }

    /// Has the voice read by the family that holds faults.
    fn faulty(&mut self, faults: &Value) -> Result<()> {
        self.manifest["family"] = "faulty".into();
        self.json("faults.json", faults)
    }

    /// A phoneme's number.
    fn symbol(&mut self, phoneme: &str) -> Result<usize> {
        let vocabulary: BTreeMap<String, usize> = serde_json::from_slice(self.file("vocab.json")?)?;
        vocabulary.get(phoneme).copied().with_context(|| format!("the voice has no phoneme {phoneme}"))
    }

    fn drop_phonemes(&mut self, phonemes: &[&str]) -> Result<()> {
        let mut vocabulary: BTreeMap<String, usize> = serde_json::from_slice(self.file("vocab.json")?)?;
        for phoneme in phonemes {
            vocabulary.remove(*phoneme).with_context(|| format!("the voice has no phoneme {phoneme}"))?;
        }
        self.json("vocab.json", &json!(vocabulary))
    }
}

/// Versions that every speech server can be asked to load.
pub fn plain() -> impl Iterator<Item = &'static str> {
    VARIANTS.iter().map(|(version, _)| *version).take_while(|version| *version != "truncated")
}

#[cfg(test)]
mod tests;
