//! Embeds the network that estimates opinion scores: fetches the pinned wheel
//! and turns the network into safetensors, its licence beside it.

#![expect(clippy::print_stdout, reason = "build scripts talk to cargo on stdout")]

use std::path::PathBuf;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use ttsfleet_convert::{Graph, Pin, hex};

const WHEEL: Pin = Pin {
    what: "the quality estimate",
    package: "speechmos",
    version: "0.0.1.1",
    file: "speechmos-0.0.1.1-py3-none-any.whl",
    sha256: "31c4c9d3234f6ee10102edff74333014c50006a3f389daf7ecacae34e68ebbf7",
    variable: "TTSFLEET_SPEECHMOS_WHEEL",
    folder: "ears",
};
const NETWORK: &str = "speechmos/dnsmos_models/model_v8.onnx";
const NETWORK_SHA256: &str = "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91";
const LICENCE: &str = "speechmos-0.0.1.1.dist-info/LICENSE.txt";

/// Numbers of the network's convolutions and of its dense layers, as the
/// exporter counted.
const CONVOLUTIONS: [u32; 5] = [5, 6, 7, 8, 9];
const DENSE: [u32; 3] = [3, 4, 5];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let mut wheel = WHEEL.obtain()?;
    let network = wheel.read(NETWORK)?;
    let actual = hex(&Sha256::digest(&network));
    ensure!(actual == NETWORK_SHA256, "{NETWORK} has sha256 {actual}, but {NETWORK_SHA256} is pinned");
    let weights = convert(&network).with_context(|| format!("cannot convert {NETWORK}"))?;
    std::fs::write(out.join("mos.safetensors"), weights)?;
    std::fs::write(out.join("mos-licence.txt"), wheel.read(LICENCE)?)?;
    Ok(())
}

fn convert(network: &[u8]) -> anyhow::Result<Vec<u8>> {
    let graph = Graph::read(network)?;
    let mut names = Vec::new();
    for (place, number) in CONVOLUTIONS.iter().enumerate() {
        names.push((format!("conv.{place}.weight"), format!("conv2d_{number}/kernel:0")));
        names.push((format!("conv.{place}.bias"), format!("conv2d_{number}/bias:0")));
    }
    for (place, number) in DENSE.iter().enumerate() {
        let long = |part| format!("mos_estimator_small_1/dense_{number}/{part}/ReadVariableOp/resource:0");
        names.push((format!("dense.{place}.weight"), long("MatMul")));
        names.push((format!("dense.{place}.bias"), long("BiasAdd")));
    }
    let named = names.into_iter().map(|(name, exported)| {
        let tensor = graph.tensors.get(&exported);
        tensor.map(|tensor| (name, tensor)).with_context(|| format!("the network has no {exported}"))
    });
    ttsfleet_convert::to_safetensors(named.collect::<Result<Vec<_>, _>>()?)
}
