//! Go programs built from the pinned modules in `e2e/go`, kept in the cache
//! under a name that changes with their sources.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::command::{read, run};
use crate::progress::{Progress, Step, clock};

const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";
const PLAIN_FLAGS: &str = "-s -w";

/// A program to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GoProgram {
    pub(crate) name: &'static str,
    /// Folder below `e2e/go`.
    module: &'static str,
    package: &'static str,
    linker_flags: &'static str,
    /// Seconds on two cores with nothing cached.
    typical: u64,
}

const fn program(name: &'static str, module: &'static str, package: &'static str, typical: u64) -> GoProgram {
    GoProgram { name, module, package, linker_flags: PLAIN_FLAGS, typical }
}

pub(crate) const KUBERNETES: GoProgram =
    GoProgram { linker_flags: KUBERNETES_FLAGS, ..program("kubernetes", "kubernetes", ".", 520) };
pub(crate) const ETCD: GoProgram = program("etcd", "etcd", ".", 45);
pub(crate) const COREDNS: GoProgram = program("coredns", "coredns", ".", 140);
pub(crate) const HELM: GoProgram = program("helm", "helm", "helm.sh/helm/v4/cmd/helm", 60);
pub(crate) const TESTBOX: GoProgram = program("testbox", "testbox", ".", 15);
pub(crate) const KUBECONFORM: GoProgram =
    program("kubeconform", "checks", "github.com/yannh/kubeconform/cmd/kubeconform", 20);
pub(crate) const KUBE_SCORE: GoProgram =
    program("kube-score", "checks", "github.com/zegl/kube-score/cmd/kube-score", 30);
pub(crate) const REGISTRY: GoProgram =
    program("registry", "sources", "github.com/distribution/distribution/v3/cmd/registry", 60);
pub(crate) const VERSITYGW: GoProgram =
    program("versitygw", "sources", "github.com/versity/versitygw/cmd/versitygw", 60);
pub(crate) const FAKE_GCS: GoProgram =
    program("fake-gcs-server", "sources", "github.com/fsouza/fake-gcs-server", 40);

impl GoProgram {
    /// Gives the program's file in `folder`, building it if it is not there.
    pub(crate) fn ensure(&self, folder: &Path, progress: &dyn Progress) -> Result<PathBuf> {
        let sources = sources().join(self.module);
        let target = folder.join(format!("{}-{}", self.name, fingerprint(&sources, self)?));
        if target.exists() {
            return Ok(target);
        }
        require_go()?;
        let unfinished = folder.join(format!("{}.unfinished", self.name));
        let took = self.build(&sources, &unfinished, folder, progress)?;
        std::fs::rename(&unfinished, &target).context("cannot put the built program in place")?;
        progress.note(&format!("built {} in {}", self.name, clock(took)));
        Ok(target)
    }

    fn build(
        &self,
        sources: &Path,
        output: &Path,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<Duration> {
        let start = Instant::now();
        let record = folder.join(format!("{}.seconds", self.name));
        let last = read(&record).ok().and_then(|text| text.trim().parse().ok());
        let mut child = Command::new("go")
            .args(["build", "-v", "-trimpath", "-ldflags", self.linker_flags, "-o"])
            .arg(output)
            .arg(self.package)
            .current_dir(sources)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run go")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let packages = AtomicUsize::new(0);
        let what = format!("building {}", self.name);
        let (status, complaints) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| follow(stderr, &packages));
            let status = loop {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
                let detail = format!("{} packages", packages.load(Ordering::Relaxed));
                let typical = Some(Duration::from_secs(last.unwrap_or(self.typical)));
                progress.step(&Step { what: &what, detail: &detail, elapsed: start.elapsed(), typical });
                std::thread::sleep(Duration::from_millis(500));
            };
            anyhow::Ok((status, reader.join().unwrap_or_default()))
        })?;
        if !status.success() {
            bail!("building {} failed: {complaints}", self.name);
        }
        let took = start.elapsed();
        // A rebuild from warm caches says nothing about the next cold one.
        if took.as_secs() > self.typical / 3 {
            std::fs::write(&record, took.as_secs().to_string()).context("cannot record the build time")?;
        }
        Ok(took)
    }
}

/// Counts the packages the compiler names and keeps everything else it says.
fn follow(stderr: impl Read, packages: &AtomicUsize) -> String {
    let mut complaints = String::new();
    for line in BufReader::new(stderr).lines().map_while(|line| line.ok()) {
        if line.contains(' ') {
            complaints.push_str(&line);
            complaints.push('\n');
        } else {
            packages.fetch_add(1, Ordering::Relaxed);
        }
    }
    complaints
}

/// The folder of the Go modules in this checkout.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go")
}

/// A short digest over everything that decides what comes out.
fn fingerprint(module: &Path, program: &GoProgram) -> Result<String> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(module)
        .with_context(|| format!("cannot list {}", module.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "go" || extension == "sum" || extension == "mod")
        })
        .collect();
    files.sort();
    let mut hash = Sha256::new();
    hash.update(program.linker_flags);
    for file in files {
        hash.update(read(&file)?);
    }
    Ok(hex::encode(&hash.finalize()[..6]))
}

fn require_go() -> Result<()> {
    match run(Command::new("go").arg("version")) {
        Ok(_) => Ok(()),
        Err(_) => bail!(
            "Go is needed to build Kubernetes and was not found: install Go 1.26 or later and put it in PATH"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_complaints_are_kept_and_packages_counted() {
        let packages = AtomicUsize::new(0);
        let output = "k8s.io/api\nk8s.io/client-go\n./main.go:3:1: syntax error\n";
        assert_eq!(follow(output.as_bytes(), &packages), "./main.go:3:1: syntax error\n");
        assert_eq!(packages.into_inner(), 2);
    }

    #[test]
    fn the_fingerprint_follows_sources_and_flags() {
        let folder = std::env::temp_dir().join(format!("ttsfleet-fingerprint-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("main.go"), "package main").unwrap();
        let first = fingerprint(&folder, &ETCD).unwrap();
        assert_eq!(first, fingerprint(&folder, &ETCD).unwrap());
        assert_ne!(first, fingerprint(&folder, &KUBERNETES).unwrap());
        std::fs::write(folder.join("main.go"), "package main // changed").unwrap();
        assert_ne!(first, fingerprint(&folder, &ETCD).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
