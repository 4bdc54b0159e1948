//! ttsfleet itself on a cluster: its images built from this checkout, its chart
//! installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::image::{Image, ImageFile, ImageSpec, build};
use crate::progress::Progress;
use crate::recogniser;
use crate::target::Target;
use crate::tools::{self, cache_dir};

/// Name of the release, and of the namespace it is installed in.
pub const RELEASE: &str = "ttsfleet";
/// Name of the release's namespace.
pub const NAMESPACE: &str = "ttsfleet-system";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const OPERATOR: &str = "ttsfleet-operator";
const INFERENCE: &str = "ttsfleet-inference";
const GATEWAY: &str = "ttsfleet-gateway";
const JUDGE: &str = "ttsfleet-judge";
const PLUGIN: &str = "kubectl-ttsfleet";
/// What is compiled with which of cargo's profiles.
const PROFILES: [(&str, &[&str]); 2] =
    [("release", &[OPERATOR, INFERENCE, JUDGE, PLUGIN]), ("gateway", &[GATEWAY])];
/// Has the speech server load faulty voices too.
const FAULTS: &str = "ttsfleet-inference/faults";

/// The product's container images.
#[derive(Debug, Clone)]
pub struct Images {
    /// The controller.
    pub operator: Image,
    /// The speech server with its built-in voice.
    pub inference: Image,
    /// The fleets' front door.
    pub gateway: Image,
    /// What listens to new voices, and its recogniser.
    pub judge: Image,
}

impl Images {
    /// Images for tests, whose speech server also loads the faulty voices among
    /// [`crate::variants`].
    ///
    /// # Errors
    /// As [`build_images`].
    pub fn with_faults(progress: &dyn Progress) -> Result<Self> {
        pack(&compile(&[FAULTS], progress)?, "inference-with-faults", progress)
    }
}

/// Compiles the binaries and packs them, one image each. kubectl's plugin is
/// put beside kubectl.
///
/// # Errors
/// What the compiler, the package manager or the file system says.
pub fn build_images(progress: &dyn Progress) -> Result<Images> {
    pack(&compile(&[], progress)?, "inference", progress)
}

fn pack(binaries: &Binaries, inference: &str, progress: &dyn Progress) -> Result<Images> {
    tools::offer(&binaries.path(PLUGIN), PLUGIN)?;
    let folder = cache_dir()?.join("images");
    let image = |name: &str, binary: &str, mut files: Vec<ImageFile>| {
        files.push(ImageFile::program(binary, &binaries.path(binary)));
        let (repository, entrypoint) = (format!("ttsfleet.dev/{name}"), vec![format!("/{binary}")]);
        build(&ImageSpec { repository, files, entrypoint, env: vec![] }, &folder)
    };
    Ok(Images {
        operator: image("operator", OPERATOR, vec![])?,
        inference: image(inference, INFERENCE, vec![])?,
        gateway: image("gateway", GATEWAY, vec![])?,
        judge: image("judge", JUDGE, recogniser::files(progress)?)?,
    })
}

/// Static binaries: cargo's folder for their platform.
struct Binaries(PathBuf);

impl Binaries {
    fn path(&self, name: &str) -> PathBuf {
        let profile = PROFILES.iter().find(|(_, names)| names.contains(&name));
        self.0.join(profile.map_or("release", |(profile, _)| profile)).join(name)
    }
}

/// Compiles them. Cargo shows its own progress.
fn compile(features: &[&str], progress: &dyn Progress) -> Result<Binaries> {
    progress.note("compiling the operator, the gateway, the speech server and the judge");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from);
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for (profile, names) in PROFILES {
        let mut cargo = cargo();
        // Without shared libraries an image needs nothing but the one file.
        cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static").env("CARGO_TARGET_DIR", &target);
        cargo.args(["build", "--profile", profile, "--locked", "--target", &triple]).current_dir(ROOT);
        cargo.args(names.iter().flat_map(|name| ["-p", name]));
        if names.contains(&INFERENCE) {
            cargo.args(features.iter().flat_map(|feature| ["--features", feature]));
        }
        let status = cargo.status().context("cannot run cargo")?;
        if !status.success() {
            bail!("cargo could not build {}", names.join(" and "));
        }
    }
    Ok(Binaries(target.join(triple)))
}

/// The operator's binary, compiled if need be, for runs outside a cluster.
pub fn operator_binary(progress: &dyn Progress) -> Result<PathBuf> {
    Ok(compile(&[], progress)?.path(OPERATOR))
}

/// The speech server's binary, likewise.
pub fn inference_binary(progress: &dyn Progress) -> Result<PathBuf> {
    Ok(compile(&[], progress)?.path(INFERENCE))
}

/// The gateway's binary, likewise.
pub fn gateway_binary(progress: &dyn Progress) -> Result<PathBuf> {
    Ok(compile(&[], progress)?.path(GATEWAY))
}

/// The chart's folder.
pub fn chart() -> PathBuf {
    Path::new(ROOT).join("helm")
}

/// Brings the images to the nodes and installs or upgrades the chart, until the
/// operator is ready.
pub fn install(target: &dyn Target, images: &Images) -> Result<()> {
    let chart = chart();
    let chart = chart.to_string_lossy();
    let mut line =
        vec!["upgrade", "--install", RELEASE, &chart, "--namespace", NAMESPACE, "--create-namespace"];
    line.extend(["--wait", "--timeout", "3m"]);
    let mut values = Vec::new();
    for (part, image) in [
        ("operator", &images.operator),
        ("inference", &images.inference),
        ("gateway", &images.gateway),
        ("judge", &images.judge),
    ] {
        values.extend(image_values(part, &target.publish(image)?));
    }
    line.extend(values.iter().map(String::as_str));
    target.helm(&line)?;
    Ok(())
}

fn image_values(part: &str, reference: &str) -> [String; 4] {
    let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, ""));
    let set = || "--set-string".to_owned();
    [set(), format!("{part}.image.repository={repository}"), set(), format!("{part}.image.tag={tag}")]
}

/// Has a fleet say a text; `url` is that of its Service. The WAV file's bytes.
///
/// # Errors
/// Says what the fleet answered when it was not audio.
pub fn speak(url: &str, text: &str) -> Result<Vec<u8>> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    let body = serde_json::json!({"input": text, "response_format": "wav"}).to_string();
    let request = agent.post(format!("{url}/v1/audio/speech")).content_type("application/json");
    let mut answer = request.send(&body).with_context(|| format!("{url} does not answer"))?;
    let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    if !answer.status().is_success() {
        bail!("{url} answered {}: {}", answer.status(), String::from_utf8_lossy(&bytes));
    }
    Ok(bytes)
}
