//! Where ttsfleet is put: a local cluster, or one that the user names.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cluster::Cluster;
use crate::command::{run, tool};
use crate::image::Image;
use crate::packages;
use crate::progress::Silent;

/// A cluster that the product can be put on.
pub trait Target {
    /// Runs kubectl and gives what it printed.
    fn kubectl(&self, arguments: &[&str]) -> Result<String>;
    /// Runs helm and gives what it printed.
    fn helm(&self, arguments: &[&str]) -> Result<String>;
    /// Brings an image to where the nodes find it; the name they know it by.
    fn publish(&self, image: &Image) -> Result<String>;
    /// A way from this machine to a Service's port 80.
    fn reach(&self, namespace: &str, service: &str) -> Result<Route>;
}

/// A way to a Service, open as long as this value lives.
#[derive(Debug)]
pub struct Route {
    /// As in `http://10.0.0.7`.
    pub url: String,
    forward: Option<Child>,
}

impl Route {
    /// Whether the address is there for other programs, and after this value is gone.
    pub fn lasts(&self) -> bool {
        self.forward.is_none()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(forward) = &mut self.forward {
            // It may have ended by itself.
            let _ = forward.kill();
            let _ = forward.wait();
        }
    }
}

impl Target for Cluster {
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        Cluster::kubectl(self, arguments)
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        Cluster::helm(self, arguments)
    }

    fn publish(&self, image: &Image) -> Result<String> {
        self.import(image)?;
        Ok(image.reference.clone())
    }

    fn reach(&self, namespace: &str, service: &str) -> Result<Route> {
        let line = ["-n", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}"];
        Ok(Route { url: format!("http://{}", self.kubectl(&line)?.trim()), forward: None })
    }
}

/// A cluster of the user's, by kubectl's context, with a registry that both
/// this machine and the nodes reach.
#[derive(Debug)]
pub struct Context {
    /// A context of the user's kubeconfig.
    pub name: String,
    /// Host and path that image names start with.
    pub registry: String,
}

impl Target for Context {
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments))
    }

    fn helm(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new("helm").args(["--kube-context", &self.name]).args(arguments))
    }

    fn publish(&self, image: &Image) -> Result<String> {
        packages::ensure(&packages::PUSHER, &Silent)?;
        let short = image.reference.rsplit('/').next().unwrap_or(&image.reference);
        let reference = format!("{}/{short}", self.registry.trim_end_matches('/'));
        let from = format!("oci-archive:{}", image.tar.display());
        tool(&["skopeo", "--insecure-policy", "copy", &from, &format!("docker://{reference}")])?;
        Ok(reference)
    }

    fn reach(&self, namespace: &str, service: &str) -> Result<Route> {
        let mut forward = self.command();
        forward.args(["-n", namespace, "port-forward", &format!("service/{service}"), ":80"]);
        let mut child =
            forward.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("cannot run kubectl")?;
        let output = child.stdout.take().context("kubectl has no output")?;
        let mut route = Route { url: String::new(), forward: Some(child) };
        let mut line = String::new();
        let mut output = BufReader::new(output);
        output.read_line(&mut line)?;
        // kubectl tells of every connection, and ends when nobody listens.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        // "Forwarding from 127.0.0.1:41234 -> 8080"
        let Some(address) = line.split_whitespace().nth(2) else {
            bail!("kubectl port-forward said {line:?}")
        };
        route.url = format!("http://{address}");
        Ok(route)
    }
}

impl Context {
    fn command(&self) -> Command {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &self.name]);
        kubectl
    }
}
