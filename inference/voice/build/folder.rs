//! The model folder: which files it has, and its manifest.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    onnx,
    wheel::{VERSION, Wheel},
};

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

/// A path inside the folder and its content.
pub(crate) type File = (String, Vec<u8>);

/// Every file of the folder, the manifest last.
pub(crate) fn collect(wheel: &mut Wheel) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for name in NOTICES {
        let bytes = wheel.read(&format!("hibari_tts-{VERSION}.dist-info/licenses/{name}"))?;
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
    files.push(("model.json".to_owned(), manifest(&files)?));
    Ok(files)
}

/// The same files always give the same bytes: the digest of these bytes is the
/// model's identity.
fn manifest(files: &[File]) -> anyhow::Result<Vec<u8>> {
    let entries = files.iter().map(
        |(path, bytes)| json!({ "path": path, "size": bytes.len(), "sha256": hex(&Sha256::digest(bytes)) }),
    );
    let manifest = json!({
        "family": "hibari",
        "name": "hibari",
        "version": VERSION,
        "sampleRate": 24_000,
        "languages": ["en-US"],
        "voices": ["heart"],
        "licence": "Apache-2.0",
        "files": entries.collect::<Vec<_>>(),
    });
    Ok(serde_json::to_vec_pretty(&manifest)?)
}

/// Writes the files to `out/voice` and the list that the library includes.
pub(crate) fn write(out: &Path, files: &[File]) -> anyhow::Result<()> {
    let dir = out.join("voice");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir(&dir)?;
    let mut list = String::from("&[\n");
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes)?;
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    list.push(']');
    fs::write(out.join("files.rs"), list)?;
    Ok(())
}

/// Hexadecimal digits of a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
