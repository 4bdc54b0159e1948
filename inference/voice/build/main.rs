//! Makes the embedded voice at build time: fetches the pinned wheel, turns its
//! networks into safetensors and writes a model folder to `OUT_DIR`.

#![expect(clippy::print_stdout, reason = "build scripts talk to cargo on stdout")]

mod folder;
mod onnx;

use std::path::PathBuf;

use anyhow::Context;
use ttsfleet_convert::Pin;

const WHEEL: Pin = Pin {
    what: "the default voice",
    package: "hibari-tts",
    version: "0.2.1",
    file: "hibari_tts-0.2.1-py3-none-any.whl",
    sha256: "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3",
    variable: "TTSFLEET_HIBARI_WHEEL",
    folder: "voice",
};

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let files = folder::collect(&mut WHEEL.obtain()?, WHEEL.version)?;
    ttsfleet_convert::write(&out, "voice", &files)
}
