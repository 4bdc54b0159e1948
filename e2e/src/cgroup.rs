//! The control group of a cluster: every process of its nodes lives below it,
//! so that none can be missed when the cluster ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::wait_until;

const ROOT: &str = "/sys/fs/cgroup";

/// A control group by its path below every mounted hierarchy.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    path: String,
}

impl Cgroup {
    /// The group of a cluster. Its index is in the name because a cluster of the
    /// same name may run out of another cache folder.
    pub(crate) fn of_cluster(name: &str, index: u8) -> Self {
        Cgroup { path: format!("ttsfleet{index}-{name}") }
    }

    /// A group inside.
    pub(crate) fn child(&self, name: &str) -> Self {
        Cgroup { path: format!("{}/{name}", self.path) }
    }

    /// As the kubelet wants it.
    pub(crate) fn absolute(&self) -> String {
        format!("/{}", self.path)
    }

    /// The file that moves a process into the group. One hierarchy is enough to
    /// find every process again, as children inherit it.
    pub(crate) fn procs_file(&self) -> PathBuf {
        let base = if unified() { PathBuf::from(ROOT) } else { Path::new(ROOT).join("pids") };
        base.join(&self.path).join("cgroup.procs")
    }

    /// Creates it in every hierarchy.
    pub(crate) fn create(&self) -> Result<()> {
        for hierarchy in hierarchies()? {
            let folder = hierarchy.join(&self.path);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create the control group {}", folder.display()))?;
            // A new cpuset (version 1) is empty and takes no process.
            for setting in ["cpuset.cpus", "cpuset.mems"] {
                copy_down(&hierarchy, &self.path, setting)?;
            }
            if unified() {
                delegate(&hierarchy, &self.path);
            }
        }
        Ok(())
    }

    /// Kills every process in it and below, and removes the groups.
    pub(crate) fn destroy(&self) -> Result<()> {
        let emptied = wait_until(Duration::from_secs(20), || {
            let processes = self.processes()?;
            for pid in &processes {
                // Gone since is fine.
                let _ = kill_process(*pid, Signal::KILL);
            }
            Ok(processes.is_empty())
        })?;
        if !emptied {
            bail!("processes in the control group {} do not die", self.path);
        }
        for hierarchy in hierarchies()? {
            let folder = hierarchy.join(&self.path);
            let removed = wait_until(Duration::from_secs(5), || {
                remove_tree(&folder);
                Ok(!folder.exists())
            })?;
            if !removed {
                bail!("cannot remove the control group {}", folder.display());
            }
        }
        Ok(())
    }

    fn processes(&self) -> Result<Vec<Pid>> {
        let mut found = Vec::new();
        for hierarchy in hierarchies()? {
            collect(&hierarchy.join(&self.path), &mut found);
        }
        Ok(found)
    }
}

/// Whether the machine has control groups version 2 only.
fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

fn hierarchies() -> Result<Vec<PathBuf>> {
    if unified() {
        return Ok(vec![PathBuf::from(ROOT)]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(ROOT).context("no control groups are mounted")? {
        let path = entry?.path();
        // "cpu" may be a link to "cpu,cpuacct". Version 2 may be mounted beside.
        if path.join("cgroup.procs").exists() && !path.is_symlink() {
            found.push(path);
        }
    }
    Ok(found)
}

fn copy_down(hierarchy: &Path, group: &str, setting: &str) -> Result<()> {
    let mut folder = hierarchy.to_owned();
    let Ok(mut value) = std::fs::read_to_string(folder.join(setting)) else { return Ok(()) };
    for part in group.split('/') {
        folder.push(part);
        let file = folder.join(setting);
        let current = std::fs::read_to_string(&file).unwrap_or_default();
        if current.trim().is_empty() {
            std::fs::write(&file, &value).with_context(|| format!("cannot set {}", file.display()))?;
        } else {
            value = current;
        }
    }
    Ok(())
}

/// Version 2: lets the groups below use every controller there is.
fn delegate(root: &Path, group: &str) {
    let mut folder = root.to_owned();
    for part in std::iter::once("").chain(group.split('/')) {
        folder.push(part);
        let controllers = std::fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_ascii_whitespace() {
            // Some cannot be delegated; the kubelet says which one it misses.
            let _ = std::fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

fn collect(folder: &Path, found: &mut Vec<Pid>) {
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
    for inner in inner_groups(folder) {
        collect(&inner, found);
    }
}

fn remove_tree(folder: &Path) {
    for inner in inner_groups(folder) {
        remove_tree(&inner);
    }
    // Busy for a moment after its last process died; the caller tries again.
    let _ = std::fs::remove_dir(folder);
}

fn inner_groups(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
