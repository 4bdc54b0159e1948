//! The model folder: which files it has, and its manifest.

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};
use ttsfleet_convert::{File, Wheel, hex};

use crate::onnx;

/// The tables of American English, taken as they are.
const TABLES: [&str; 7] = [
    "lexicon_us_gold.json.gz",
    "lexicon_us_silver.json.gz",
    "normalize.json",
    "oov.json",
    "tagger.json.gz",
    "tokenizer_exceptions.json",
    "vocab.json",
];
const NETWORKS: [&str; 2] = ["hibari", "oov"];
const NOTICES: [&str; 2] = ["LICENSE", "NOTICE"];

/// Every file of the folder, the manifest last.
pub(crate) fn collect(wheel: &mut Wheel, version: &str) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for name in NOTICES {
        let bytes = wheel.read(&format!("hibari_tts-{version}.dist-info/licenses/{name}"))?;
        files.push((name.to_owned(), bytes));
    }
    for name in NETWORKS {
        let graph = wheel.read(&format!("hibari/assets/{name}.onnx"))?;
        let weights = onnx::to_safetensors(&graph).with_context(|| format!("cannot convert {name}.onnx"))?;
        files.push((format!("{name}.safetensors"), weights));
    }
    for name in TABLES {
        files.push((name.to_owned(), wheel.read(&format!("hibari/assets/{name}"))?));
    }
    files.sort();
    files.push(("model.json".to_owned(), manifest(&files, version)?));
    Ok(files)
}

/// The same files always give the same bytes: the digest of these bytes is the
/// model's identity.
fn manifest(files: &[File], version: &str) -> anyhow::Result<Vec<u8>> {
    let entries = files.iter().map(
        |(path, bytes)| json!({ "path": path, "size": bytes.len(), "sha256": hex(&Sha256::digest(bytes)) }),
    );
    let manifest = json!({
        "family": "hibari",
        "name": "hibari",
        "version": version,
        "sampleRate": 24_000,
        "languages": ["en-US"],
        "voices": ["heart"],
        "licence": "Apache-2.0",
        "files": entries.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_vec_pretty(&manifest)?)
}
