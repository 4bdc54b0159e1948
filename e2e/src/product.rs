//! ttsfleet itself on a cluster: its images built from this checkout, its chart
//! installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::image::{Image, ImageFile, ImageSpec, build};
use crate::progress::Progress;
use crate::tools::cache_dir;

/// Name of the release, and of the namespace it is installed in.
pub const RELEASE: &str = "ttsfleet";
/// Name of the release's namespace.
pub const NAMESPACE: &str = "ttsfleet-system";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const BINARIES: [&str; 2] = ["ttsfleet-operator", "ttsfleet-inference"];

/// The product's container images.
#[derive(Debug, Clone)]
pub struct Images {
    /// The controller.
    pub operator: Image,
    /// The speech server with its built-in voice.
    pub inference: Image,
}

/// Compiles the binaries and packs them, one file an image.
pub fn build_images(progress: &dyn Progress) -> Result<Images> {
    let bin = compile(progress)?;
    let folder = cache_dir()?.join("images");
    let image = |name: &str| {
        let binary = format!("ttsfleet-{name}");
        build(
            &ImageSpec {
                repository: format!("ttsfleet.dev/{name}"),
                files: vec![ImageFile::program(&binary, &bin.join(&binary))],
                entrypoint: vec![format!("/{binary}")],
                env: vec![],
            },
            &folder,
        )
    };
    Ok(Images { operator: image("operator")?, inference: image("inference")? })
}

/// Static release binaries; the folder they are in. Cargo shows its own progress.
fn compile(progress: &dyn Progress) -> Result<PathBuf> {
    progress.note("compiling the operator and the speech server");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Without shared libraries an image needs nothing but the one file.
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static").env("CARGO_TARGET_DIR", &target).current_dir(ROOT);
    cargo.args(["build", "--release", "--locked", "--target", &triple]);
    cargo.args(BINARIES.iter().flat_map(|name| ["-p", name]));
    let status = cargo.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build {}", BINARIES.join(" and "));
    }
    Ok(target.join(triple).join("release"))
}

/// The chart's folder.
pub fn chart() -> PathBuf {
    Path::new(ROOT).join("helm")
}

/// The values that make the chart use these images.
pub fn image_values(images: &Images) -> Vec<String> {
    let value = |part: &str, image: &Image| {
        let (repository, tag) = image.reference.rsplit_once(':').unwrap_or((&image.reference, ""));
        [format!("{part}.image.repository={repository}"), format!("{part}.image.tag={tag}")]
    };
    let pairs = [value("operator", &images.operator), value("inference", &images.inference)];
    pairs.concat().into_iter().flat_map(|pair| ["--set-string".to_owned(), pair]).collect()
}

/// Puts the images on the nodes and installs or upgrades the chart, until the
/// operator is ready.
pub fn install(cluster: &Cluster, images: &Images) -> Result<()> {
    for image in [&images.operator, &images.inference] {
        cluster.import(image)?;
    }
    let chart = chart();
    let chart = chart.to_string_lossy();
    let values = image_values(images);
    let mut line = vec!["upgrade", "--install", RELEASE, &chart, "--namespace", NAMESPACE, "--create-namespace"];
    line.extend(["--wait", "--timeout", "3m"]);
    line.extend(values.iter().map(String::as_str));
    cluster.helm(&line)?;
    Ok(())
}
