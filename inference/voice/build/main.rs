//! Makes the embedded voice at build time: fetches the pinned wheel, turns its
//! networks into safetensors and writes a model folder to `OUT_DIR`.

#![expect(clippy::print_stdout, reason = "build scripts talk to cargo on stdout")]

mod folder;
mod onnx;
mod wheel;

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed={}", wheel::WHEEL_VARIABLE);
    println!("cargo::rerun-if-env-changed={}", wheel::CACHE_VARIABLE);

    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let mut assets = wheel::Wheel::open(&wheel::obtain()?)?;
    let files = folder::collect(&mut assets)?;
    folder::write(&out, &files)
}
