//! What is read from the API server and written to it.

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, Portforwarder};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use ttsfleet_crds::TtsDeployment;
use ttsfleet_crds::labels::{INSTANCE, NAME};

/// One namespace of a cluster.
pub(crate) struct Cluster {
    namespace: String,
    fleets: Api<TtsDeployment>,
    pods: Api<Pod>,
}

impl Cluster {
    /// Finds the cluster as kubectl does.
    pub(crate) async fn reach(namespace: Option<String>, context: Option<String>) -> Result<Self> {
        // Already set if somebody else in the process was first; as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let config = Config::from_kubeconfig(&options).await.context("cannot use the kubeconfig")?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("cannot reach the cluster")?;
        Ok(Self::in_namespace(client, namespace))
    }

    /// A namespace of the client's cluster.
    pub(crate) fn in_namespace(client: Client, namespace: String) -> Self {
        let (fleets, pods) =
            (Api::namespaced(client.clone(), &namespace), Api::namespaced(client, &namespace));
        Self { namespace, fleets, pods }
    }

    /// The fleet.
    pub(crate) async fn fleet(&self, name: &str) -> Result<TtsDeployment> {
        let fleet =
            self.fleets.get_opt(name).await.with_context(|| format!("cannot read the fleet {name}"))?;
        let namespace = &self.namespace;
        fleet.ok_or_else(|| {
            anyhow!("there is no fleet {name} in namespace {namespace}; `kubectl get ttsd -A` lists those there are")
        })
    }

    /// The fleet's pods of all kinds.
    pub(crate) async fn pods(&self, fleet: &str) -> Result<Vec<Pod>> {
        let (key, name) = NAME;
        let labels = format!("{key}={name},{INSTANCE}={fleet}");
        let list = self.pods.list(&ListParams::default().labels(&labels)).await;
        Ok(list.context("cannot list the fleet's pods")?.items)
    }

    /// A way to a pod's port, through the API server.
    pub(crate) async fn forward(&self, pod: &str, port: u16) -> Result<Portforwarder> {
        let forward = self.pods.portforward(pod, &[port]).await;
        forward.with_context(|| {
            format!(
                "cannot forward a port to pod {pod}; that takes the verbs get and create for pods/portforward"
            )
        })
    }

    /// Writes an annotation on the fleet as it was read. False if somebody has
    /// changed it since, because the annotation may hold more now than the value
    /// knows of.
    pub(crate) async fn annotate(&self, fleet: &TtsDeployment, key: &str, value: &str) -> Result<bool> {
        let (name, version) = (fleet.name_any(), fleet.resource_version());
        let patch = json!({"metadata": {"resourceVersion": version, "annotations": {key: value}}});
        match self.fleets.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
            Err(error) => {
                Err(error).with_context(|| format!("cannot write the annotation {key} on the fleet {name}"))
            }
        }
    }
}
