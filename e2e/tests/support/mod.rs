//! What the end-to-end tests share: one cluster with the product installed.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::product::{self, Images};
use ttsfleet_e2e::progress::Console;

/// Label of the namespaces that tests make.
const OF_A_TEST: &str = "ttsfleet-test=true";

/// The cluster of the tests, brought up on first use and left for the next run.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::up("test", &Console::default()).unwrap();
        // Left over from a run that was stopped; two nodes have no room for it.
        cluster.kubectl(&["delete", "namespace", "-l", OF_A_TEST, "--timeout=180s"]).unwrap();
        product::install(&cluster, images()).unwrap();
        cluster
    })
}

pub(crate) fn images() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| Images::with_faults(&Console::default()).unwrap())
}

/// Load on two cores is told from a fault only if there is one load at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // Whoever had it before may have failed; that is told already.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A namespace that is empty at first and gone in the end, whatever the end is.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn fresh(name: &str) -> Self {
        let cluster = cluster();
        cluster.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=90s"]).unwrap();
        cluster.kubectl(&["create", "namespace", name]).unwrap();
        let labels = [OF_A_TEST, "pod-security.kubernetes.io/enforce=restricted"];
        cluster.kubectl(&[&["label", "namespace", name], &labels[..]].concat()).unwrap();
        Self { name: name.to_owned() }
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut line = vec!["--namespace", self.name.as_str()];
        line.extend(arguments);
        cluster().kubectl(&line)
    }

    /// Objects as JSON: `get(&["pods", "-l", "a=b"])`.
    pub(crate) fn get(&self, what: &[&str]) -> Value {
        let mut line = vec!["get"];
        line.extend(what);
        line.extend(["-o", "json", "--ignore-not-found"]);
        let text = self.kubectl(&line).unwrap();
        if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Applies a fleet with this spec (YAML in flow style).
    pub(crate) fn fleet(&self, name: &str, spec: &str) {
        let manifest = format!(
            "{{apiVersion: ttsfleet.dev/v1alpha1, kind: TtsDeployment, metadata: {{name: {name}, namespace: {}}}, spec: {spec}}}",
            self.name
        );
        cluster().apply(&manifest).unwrap();
    }

    pub(crate) fn wait_ready(&self, fleet: &str) {
        let fleet = format!("ttsd/{fleet}");
        let line = ["wait", "--for=condition=Ready", "--timeout=120s", &fleet];
        if let Err(error) = self.kubectl(&line) {
            panic!("{error}\n{}", self.kubectl(&["describe", "ttsd,pods"]).unwrap_or_default());
        }
    }

    /// A condition of a fleet, as in `condition("a", "Ready")["reason"]`.
    pub(crate) fn condition(&self, fleet: &str, kind: &str) -> Value {
        let fleet = self.get(&["ttsd", fleet]);
        let conditions = fleet["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // After a failure, too: two nodes have no room for what failed and the next test.
        let line = ["delete", "namespace", &self.name, "--wait=false"];
        let deleted = cluster().kubectl(&line);
        if !std::thread::panicking() {
            deleted.unwrap();
        }
    }
}
