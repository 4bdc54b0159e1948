//! What a pod that uses GPUs asks for.
//!
//! For MPS, the pod mounts nothing itself: NVIDIA's device plugin adds the
//! pipe folder, its shared memory and `CUDA_MPS_PIPE_DIRECTORY` when it hands
//! out the GPU, which a pod of the restricted profile could not do.

use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    PodAntiAffinity,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::container::env as variable;
use super::labels;
use crate::fleet::validate::{Fleet, FleetGpu, FleetPool};

/// Name of the resource that NVIDIA's device plugin hands out.
pub(super) const RESOURCE: &str = "nvidia.com/gpu";

const SHARED: &str = "mps";

/// How many of [`RESOURCE`] a pod asks for.
pub(super) fn count(gpu: FleetGpu) -> Option<i32> {
    match gpu {
        FleetGpu::None => None,
        FleetGpu::Exclusive { count } => Some(count),
        FleetGpu::Mps { .. } => Some(1),
    }
}

/// The label by which pools that share GPUs keep out of each other's way.
pub(super) fn sharing(gpu: FleetGpu) -> Option<(String, String)> {
    match gpu {
        FleetGpu::None | FleetGpu::Exclusive { .. } => None,
        FleetGpu::Mps { .. } => Some((labels::GPU_SHARING.to_owned(), SHARED.to_owned())),
    }
}

/// Which nodes a pod may run on. A node that shares its GPUs hands out shares
/// under the same resource name, so counting alone does not make a GPU
/// exclusive.
pub(super) fn affinity(fleet: &Fleet, pool: &FleetPool) -> Option<Affinity> {
    let (requirements, apart) = match pool.gpu {
        FleetGpu::None => return None,
        FleetGpu::Exclusive { .. } => (
            vec![
                requirement("nvidia.com/gpu.present", "In", &["true"]),
                requirement("nvidia.com/gpu.sharing-strategy", "NotIn", &["mps", "time-slicing"]),
                requirement("nvidia.com/mps.capable", "NotIn", &["true"]),
            ],
            None,
        ),
        FleetGpu::Mps { .. } => (
            vec![requirement("nvidia.com/mps.capable", "In", &["true"])],
            Some(apart_from_other_pools(fleet, pool)),
        ),
    };
    let term = NodeSelectorTerm { match_expressions: Some(requirements), match_fields: None };
    Some(Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![term],
            }),
            ..NodeAffinity::default()
        }),
        pod_anti_affinity: apart,
        ..Affinity::default()
    })
}

/// One failing GPU must not take two pools of a fleet. Which GPU of a node a
/// pod gets is not the scheduler's to say, so they keep to different nodes.
/// By a label, so that another pool changes no template.
fn apart_from_other_pools(fleet: &Fleet, pool: &FleetPool) -> PodAntiAffinity {
    let mut shared = labels::pods_selector(&fleet.name);
    shared.extend(sharing(pool.gpu));
    let other_pools = LabelSelectorRequirement {
        key: labels::POOL.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec![pool.name.clone()]),
    };
    PodAntiAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
            label_selector: Some(LabelSelector {
                match_labels: Some(shared),
                match_expressions: Some(vec![other_pools]),
            }),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        }]),
        ..PodAntiAffinity::default()
    }
}

/// Variables that the CUDA library of a pod with a shared GPU obeys.
pub(super) fn env(gpu: FleetGpu) -> Vec<EnvVar> {
    let FleetGpu::Mps { memory_limit, active_thread_percent } = gpu else {
        return Vec::new();
    };
    // Device 0 is the only one a pod with one share sees.
    let memory = format!("0={}M", memory_limit.mebibytes());
    let mut env = vec![variable("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", memory)];
    if let Some(percent) = active_thread_percent {
        env.push(variable("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", percent.to_string()));
    }
    env
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: Some(values.iter().map(|&value| value.to_owned()).collect()),
    }
}
