//! What tests and tools do with a running cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;
use rustix::process::Signal;

use super::Cluster;
use crate::command::run;
use crate::image::{self, Image, ImageSpec};
use crate::network::NODES;

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
