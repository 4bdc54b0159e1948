//! The programs the cluster is made of: found in the cache, or built and
//! installed on first use.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command::run_with_input;
use crate::gobuild::{self, GoProgram};
use crate::packages;
use crate::progress::Progress;

const PAUSE_SOURCE: &str = include_str!("../pause.rs");

/// Programs that the Kubernetes binary holds, by the name it is called with.
const KUBERNETES_PROGRAMS: [&str; 7] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "fake-gpu-plugin",
];

/// Where everything is kept that a second run can use again:
/// `$TTSFLEET_CACHE`, or `ttsfleet` in the user's cache folder.
pub fn cache_dir() -> Result<PathBuf> {
    let folder = match (std::env::var_os("TTSFLEET_CACHE"), std::env::var_os("XDG_CACHE_HOME")) {
        (Some(own), _) => PathBuf::from(own),
        (None, Some(caches)) => PathBuf::from(caches).join("ttsfleet"),
        (None, None) => {
            let home =
                std::env::var_os("HOME").context("set HOME or TTSFLEET_CACHE to say where to keep files")?;
            PathBuf::from(home).join(".cache/ttsfleet")
        }
    };
    if !folder.is_absolute() {
        bail!("the cache folder must be an absolute path, and is {}", folder.display());
    }
    Ok(folder)
}

/// The programs, ready to run.
#[derive(Debug, Clone)]
pub struct Tools {
    /// A folder to put in `PATH`: kubectl, helm and the rest under their names.
    pub bin: PathBuf,
}

impl Tools {
    /// A program's file, as in `path("kubectl")`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

/// What an API server needs, without nodes: no root, no packages.
pub fn ensure_control_plane(progress: &dyn Progress) -> Result<Tools> {
    ensure(&[gobuild::KUBERNETES, gobuild::ETCD], progress)
}

/// What a cluster with nodes needs, helm included.
pub fn ensure_tools(progress: &dyn Progress) -> Result<Tools> {
    packages::ensure(&packages::NODE, progress)?;
    let programs = [gobuild::KUBERNETES, gobuild::ETCD, gobuild::COREDNS, gobuild::HELM, gobuild::TESTBOX];
    let tools = ensure(&programs, progress)?;
    ensure_pause(&tools, &store()?)?;
    Ok(tools)
}

/// helm, which renders charts without a cluster.
pub fn ensure_helm(progress: &dyn Progress) -> Result<Tools> {
    ensure(&[gobuild::HELM], progress)
}

/// kubeconform and kube-score, which check manifests.
pub fn ensure_checkers(progress: &dyn Progress) -> Result<Tools> {
    ensure(&[gobuild::KUBECONFORM, gobuild::KUBE_SCORE], progress)
}

/// The small program that test pods run.
pub(crate) fn ensure_testbox(progress: &dyn Progress) -> Result<PathBuf> {
    Ok(ensure(&[gobuild::TESTBOX], progress)?.path("testbox"))
}

/// Puts one of this checkout's own programs beside kubectl, which finds its
/// plugins there.
pub(crate) fn offer(program: &Path, name: &str) -> Result<()> {
    let bin = cache_dir()?.join("bin");
    std::fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    link(program, &bin.join(name))
}

/// A folder of that name, filled on first use.
pub(crate) fn installed(
    name: &str,
    progress: &dyn Progress,
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = store()?.join(name);
    if folder.exists() {
        return Ok(folder);
    }
    progress.note(&format!("installing {name}"));
    let unfinished = folder.with_extension(format!("unfinished-{}", std::process::id()));
    std::fs::create_dir_all(&unfinished)
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    install(&unfinished)?;
    std::fs::rename(&unfinished, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Servers that models are fetched from: `registry` (OCI), `versitygw` (S3) and
/// `fake-gcs-server` (Google Cloud Storage).
pub fn ensure_source_servers(progress: &dyn Progress) -> Result<Tools> {
    ensure(&[gobuild::REGISTRY, gobuild::VERSITYGW, gobuild::FAKE_GCS], progress)
}

/// Built programs under names that tell versions apart; `bin` links to them.
fn store() -> Result<PathBuf> {
    Ok(cache_dir()?.join("programs"))
}

fn ensure(programs: &[GoProgram], progress: &dyn Progress) -> Result<Tools> {
    let store = store()?;
    let bin = cache_dir()?.join("bin");
    for folder in [&store, &bin] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let _one_at_a_time = lock(&store.join("lock"), progress)?;
    for program in programs {
        let built = program.ensure(&store, progress)?;
        link(&built, &bin.join(program.name))?;
    }
    if programs.iter().any(|program| program.name == gobuild::KUBERNETES.name) {
        for name in KUBERNETES_PROGRAMS {
            // Through the other link: a rebuilt binary serves all names at once.
            link(Path::new("kubernetes"), &bin.join(name))?;
        }
    }
    Ok(Tools { bin })
}

/// The pod's first process is compiled by rustc alone: a static program of a
/// few hundred kilobytes, as its memory counts against every pod.
fn ensure_pause(tools: &Tools, store: &Path) -> Result<()> {
    let digest = hex::encode(&Sha256::digest(PAUSE_SOURCE)[..6]);
    let built = store.join(format!("pause-{digest}"));
    if !built.exists() {
        let unfinished = store.join(format!("pause.{}", std::process::id()));
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-name=pause", "-Copt-level=s", "-Cpanic=abort"]);
        rustc.args(["-Cstrip=symbols", "-Ctarget-feature=+crt-static", "-o"]).arg(&unfinished).arg("-");
        run_with_input(&mut rustc, PAUSE_SOURCE.as_bytes())
            .context("cannot compile the pause program; is Rust with a C linker installed?")?;
        std::fs::rename(unfinished, &built).context("cannot put the pause program in place")?;
    }
    link(&built, &tools.path("pause"))
}

fn link(target: &Path, link: &Path) -> Result<()> {
    if std::fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let fresh = link.with_extension("new");
    // Left over from a run that was stopped here.
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh)
        .and_then(|()| std::fs::rename(&fresh, link))
        .with_context(|| format!("cannot link {}", link.display()))
}

/// Takes a lock that other processes respect; released when the file closes.
pub(crate) fn lock(path: &Path, progress: &dyn Progress) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        progress.note(&format!("waiting for another run that holds {}", path.display()));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}
