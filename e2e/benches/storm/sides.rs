//! The sides: bare pods, and fleets of the same pods.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use ttsfleet_e2e::cluster::Cluster;
use ttsfleet_e2e::target::Target;

pub(crate) const NAMESPACE: &str = "storm";
/// Pods of each side.
pub(crate) const PODS: f64 = 2.0;
const NAME: &str = "storm";

/// Who is in the storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Pods as one would run them by hand: a thread for every request, a queue
    /// without end, a Service in front.
    Bare,
    /// A TtsDeployment with the same pods and no queue: a thread for each place.
    NoQueue,
    /// A TtsDeployment with the same pods and all else by default.
    Defaults,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare pods",
            Self::NoQueue => "fleet, no queue",
            Self::Defaults => "fleet, defaults",
        }
    }

    /// Brings it up; its address.
    pub(crate) fn start(self, cluster: &Cluster, image: &str) -> Result<String> {
        match self {
            Self::Bare => {
                cluster.apply(&bare(image).to_string())?;
                let line = ["-n", NAMESPACE, "rollout", "status", "deployment", NAME, "--timeout=120s"];
                cluster.kubectl(&line)?;
            }
            Self::NoQueue | Self::Defaults => {
                cluster.apply(&fleet(self).to_string())?;
                let fleet = format!("ttsd/{NAME}");
                let line = ["-n", NAMESPACE, "wait", "--for=condition=Ready", &fleet, "--timeout=120s"];
                cluster.kubectl(&line)?;
            }
        }
        Ok(cluster.reach(NAMESPACE, NAME)?.url.clone())
    }

    /// Takes it down.
    pub(crate) fn stop(self, cluster: &Cluster) -> Result<()> {
        let kinds = match self {
            Self::Bare => "deployment,service",
            Self::NoQueue | Self::Defaults => "ttsd",
        };
        cluster.kubectl(&["-n", NAMESPACE, "delete", kinds, NAME])?;
        cluster.kubectl(&["-n", NAMESPACE, "wait", "--for=delete", "pod", "--all", "--timeout=120s"])?;
        Ok(())
    }

    /// A pod that speaks.
    pub(crate) fn pod(self, cluster: &Cluster) -> Result<String> {
        let pods = self.pods(cluster)?;
        let name = pods.first().and_then(|pod| pod["metadata"]["name"].as_str());
        name.map(str::to_owned).context("there are no pods")
    }

    /// How often the kernel has killed a pod for its memory.
    pub(crate) fn memory_kills(self, cluster: &Cluster) -> Result<usize> {
        let killed = |pod: &Value| {
            let status = &pod["status"]["containerStatuses"][0];
            ["state", "lastState"].iter().any(|state| status[state]["terminated"]["reason"] == "OOMKilled")
        };
        Ok(self.pods(cluster)?.iter().filter(|pod| killed(pod)).count())
    }

    fn pods(self, cluster: &Cluster) -> Result<Vec<Value>> {
        let selector = match self {
            Self::Bare => "app=storm",
            Self::NoQueue | Self::Defaults => "app.kubernetes.io/component=inference",
        };
        let text = cluster.kubectl(&["-n", NAMESPACE, "get", "pods", "-l", selector, "-o", "json"])?;
        let pods: Value = serde_json::from_str(&text)?;
        Ok(pods["items"].as_array().cloned().unwrap_or_default())
    }
}

fn bare(image: &str) -> Value {
    let env = |name: &str, value: &str| json!({"name": format!("TTSFLEET_{name}"), "value": value});
    let amounts = json!({"memory": "256Mi", "cpu": "500m"});
    let container = json!({
        "name": "server",
        "image": image,
        "env": [env("WORKERS", "64"), env("MAX_CONCURRENCY", "4096"), env("MAX_QUEUE_DEPTH", "4096")],
        "resources": {"requests": amounts, "limits": amounts},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8081}},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8081}},
    });
    let meta = json!({"name": NAME, "namespace": NAMESPACE});
    let labels = json!({"app": "storm"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta,
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [deployment, service]})
}

fn fleet(side: Side) -> Value {
    let mut pool = json!({"name": "main", "resources": {"memory": "256Mi", "cpu": "500m"}});
    if side == Side::NoQueue {
        pool["capacity"] = json!({"workers": 2, "maxConcurrency": 2, "maxQueueDepth": 1});
    }
    json!({
        "apiVersion": "ttsfleet.dev/v1alpha1", "kind": "TtsDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"replicas": 2, "pools": [pool]},
    })
}
