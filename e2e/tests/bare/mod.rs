//! What the tests on the bare cluster share: the cluster, namespaces that clean up
//! after themselves, and waiting.

use std::sync::OnceLock;

use serde_json::{Value, json};
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::progress::Console;

/// The cluster of all tests; it stays up for the next run.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::up("test", &Console::default()).expect("the cluster starts"))
}

/// The image of the test pods, on every node.
pub(crate) fn testbox() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| cluster().load_testbox().expect("the test image loads"))
}

/// A namespace that is deleted when the test ends.
pub(crate) struct Namespace {
    /// Its name, different in every run.
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new(purpose: &str) -> Self {
        let namespace = Namespace { name: format!("{purpose}-{}", std::process::id()) };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace.name}});
        cluster().apply(&object.to_string()).unwrap();
        // Pods are refused until their account is there.
        namespace.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=30s"]);
        namespace
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let in_namespace = ["-n", self.name.as_str()];
        cluster().kubectl(&[&in_namespace, arguments].concat()).unwrap()
    }

    pub(crate) fn apply(&self, object: &Value) {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!(self.name);
        cluster().apply(&object.to_string()).unwrap();
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])).unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failed test shows its own error, not this one's.
        let _ = cluster().kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
