//! What one pod gets, and is held to.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, rules};

/// What one pod gets, and is held to. Each amount is request and limit in
/// one, so that pods are always of the Guaranteed class: they are the last to
/// be evicted, and no neighbour can take what they were promised.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Memory, from 64Mi to 4Ti. A pod that needs more is killed, and the
    /// fleet's Degraded condition says so.
    #[serde(default = "default_memory")]
    #[x_kube(validation = rules::memory("resources.memory", "64Mi", "4Ti", "512Mi or 8Gi"))]
    pub memory: Amount,

    /// CPUs, from 50m (a twentieth) to 256.
    #[serde(default = "default_cpu")]
    #[x_kube(validation = rules::cpu("resources.cpu", "50m", "256"))]
    pub cpu: Amount,

    /// Disk for fetched models, logs and temporary files, from 128Mi to 4Ti.
    /// Must be larger than the model.
    #[serde(default = "default_ephemeral_storage")]
    #[x_kube(validation = rules::memory("resources.ephemeralStorage", "128Mi", "4Ti", "512Mi or 8Gi"))]
    pub ephemeral_storage: Amount,

    /// Whether and how a pod uses GPUs.
    #[serde(default)]
    pub gpu: Gpu,
}

/// Whether and how a pod uses GPUs.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.count) || self.mode == 'Exclusive'").message(
    "gpu.count goes with gpu.mode: Exclusive only; remove it or set the mode"
))]
#[x_kube(validation = Rule::new("!has(self.memoryLimit) || self.mode == 'Mps'").message(
    "gpu.memoryLimit goes with gpu.mode: Mps only, because an exclusive GPU's memory is all the pod's; remove it or set the mode"
))]
#[x_kube(validation = Rule::new("!has(self.activeThreadPercent) || self.mode == 'Mps'").message(
    "gpu.activeThreadPercent goes with gpu.mode: Mps only; remove it or set the mode"
))]
#[x_kube(validation = Rule::new("self.mode != 'Mps' || has(self.memoryLimit)").message(
    "gpu.mode: Mps needs gpu.memoryLimit, or one pod could take its neighbours' GPU memory; write for example \
     memoryLimit: 6Gi"
))]
pub struct Gpu {
    /// None: no GPU. Exclusive: whole GPUs, shared with nobody, on nodes that
    /// do not share theirs. Mps: a share of a GPU on nodes where NVIDIA's
    /// device plugin shares GPUs by MPS.
    #[serde(default)]
    pub mode: GpuMode,

    /// Exclusive only: GPUs for each pod; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub count: Option<i32>,

    /// Mps only, and required there: GPU memory that one pod may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rules::memory("gpu.memoryLimit", "64Mi", "4Ti", "6Gi"))]
    pub memory_limit: Option<Amount>,

    /// Mps only: share of the GPU's threads that one pod may use at a time, in
    /// percent; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub active_thread_percent: Option<i32>,
}

/// How a pod uses GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum GpuMode {
    /// No GPU.
    #[default]
    None,
    /// Whole GPUs, shared with nobody.
    Exclusive,
    /// A share of a GPU through NVIDIA's Multi-Process Service.
    Mps,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            memory: default_memory(),
            cpu: default_cpu(),
            ephemeral_storage: default_ephemeral_storage(),
            gpu: Gpu::default(),
        }
    }
}

fn default_memory() -> Amount {
    "1Gi".into()
}

fn default_cpu() -> Amount {
    "1".into()
}

fn default_ephemeral_storage() -> Amount {
    "1Gi".into()
}
