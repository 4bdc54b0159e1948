//! What tests and tools do with a running cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::Cluster;
use crate::command::run;
use crate::image::{self, Image, ImageSpec};
use crate::network::NODES;

/// What can happen to a pod's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodSignal {
    /// They are gone at once.
    Kill,
    /// They stand still, with their connections open.
    Freeze,
    /// They go on.
    Thaw,
}

impl Cluster {
    /// Builds an image, or finds it built.
    pub fn build_image(&self, spec: &ImageSpec) -> Result<Image> {
        image::build(spec, &self.cache.join("images"))
    }

    /// Builds an image and puts it on every node that lacks it; its name.
    pub fn load_image(&self, spec: &ImageSpec) -> Result<String> {
        let image = self.build_image(spec)?;
        self.import(&image)?;
        Ok(image.reference)
    }

    /// The image of the small program that test pods run (`e2e/go/testbox`).
    pub fn load_testbox(&self) -> Result<String> {
        let image = self.own_image("testbox", &[])?;
        self.import(&image)?;
        Ok(image.reference)
    }

    /// Puts an image on every node that lacks it.
    pub fn import(&self, image: &Image) -> Result<()> {
        self.on_every_node(|number| self.node(number).import(self.keeper(number)?, image))?;
        Ok(())
    }

    /// Runs kubectl and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.settings.kubectl(arguments)
    }

    /// Applies manifests from a string, with server-side apply.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.settings.apply(manifest)
    }

    /// Runs helm and gives what it printed.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        run(self.settings.client("helm").args(arguments))
    }

    /// Sends a signal to the processes of a pod, as an accident would.
    pub fn signal_pod(&self, namespace: &str, pod: &str, signal: PodSignal) -> Result<()> {
        let line = ["-n", namespace, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"];
        let uid = self.kubectl(&line)?;
        let processes = processes_of(uid.trim())?;
        if processes.is_empty() {
            bail!("pod {pod} has no processes");
        }
        let signal = match signal {
            PodSignal::Kill => Signal::KILL,
            PodSignal::Freeze => Signal::STOP,
            PodSignal::Thaw => Signal::CONT,
        };
        for process in processes {
            // It may have ended by itself meanwhile.
            let _ = kill_process(process, signal);
        }
        Ok(())
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.settings.kubeconfig()
    }

    /// Addresses of the nodes, which the machine reaches; so it does the
    /// addresses of pods and of Services.
    pub fn node_ips(&self) -> Vec<Ipv4Addr> {
        (1..=NODES).map(|number| self.plan.node(number)).collect()
    }

    /// The programs by name (`kube-apiserver`, `node-1/kubelet`) with their
    /// process ids.
    pub fn processes(&self) -> BTreeMap<String, i32> {
        self.state().processes.iter().map(|(name, process)| (name.clone(), process.pid)).collect()
    }

    /// The log file of a program.
    pub fn log(&self, program: &str) -> PathBuf {
        self.settings.log(program)
    }

    /// Kills one program; it stays dead until the cluster is brought up again.
    pub fn kill(&self, program: &str) -> Result<()> {
        self.process(program)?.kill()
    }

    /// Stops a program in its tracks, as a hung machine would.
    pub fn pause(&self, program: &str) -> Result<()> {
        self.process(program)?.signal(Signal::STOP);
        Ok(())
    }

    /// Lets a paused program go on.
    pub fn resume(&self, program: &str) -> Result<()> {
        self.process(program)?.signal(Signal::CONT);
        Ok(())
    }

    /// Kills the API server, starts it again and waits until it is ready.
    pub fn restart_api_server(&self) -> Result<()> {
        self.kill("kube-apiserver")?;
        self.start_program("kube-apiserver")?;
        self.wait_api_server()
    }

    /// Kills every process of the cluster at once, pods included, as a power cut
    /// would; [`Cluster::up`] starts it again with its objects.
    pub fn kill_everything(&self) -> Result<()> {
        self.group().destroy()
    }

    /// Lines for a shell: kubectl and helm of this cluster.
    pub fn env_lines(&self) -> String {
        format!(
            "export PATH='{}':\"$PATH\"\nexport KUBECONFIG='{}'\n",
            self.settings.tools.bin.display(),
            self.kubeconfig().display()
        )
    }
}

/// The processes in a pod's cgroup, but for the one that only holds its
/// namespaces.
fn processes_of(uid: &str) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        if read("cgroup").contains(uid) && read("comm").trim() != "pause" {
            found.push(pid);
        }
    }
    Ok(found)
}
