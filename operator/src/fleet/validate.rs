//! Turns a spec into values that the following steps need not doubt.
//!
//! The API server's rules have checked all of this already. It is checked
//! again because the installed definition may be older than the operator.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use ttsfleet_crds::amount::{Cpu, InvalidAmount, Memory};
use ttsfleet_crds::{Gpu, GpuMode, Pool, Resources, Scheduling, TtsDeployment};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

/// A fleet that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Name of the TtsDeployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Points every child back to it.
    pub owner: OwnerReference,
    /// Pods in each pool.
    pub replicas: i32,
    /// Seconds that a stopping pod has for its requests.
    pub drain_seconds: u32,
    /// The pools; the first one takes the requests.
    pub main: FleetPool,
}

/// A pool that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetPool {
    /// The pool's name.
    pub name: String,
    /// What its pods are told to serve.
    pub model: ModelRecord,
    /// Memory of one pod.
    pub memory: Memory,
    /// CPU of one pod.
    pub cpu: Cpu,
    /// Disk of one pod.
    pub ephemeral_storage: Memory,
    /// GPUs of one pod.
    pub gpu: FleetGpu,
    /// Synthesis threads of one pod.
    pub workers: i32,
    /// Requests in hand in one pod.
    pub max_concurrency: i32,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Whether pods are spread over nodes.
    pub topology_spread: bool,
    /// The pods' PriorityClass.
    pub priority_class_name: Option<String>,
}

/// How a pod uses GPUs, with exactly the fields that go with the mode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FleetGpu {
    /// Not at all.
    None,
    /// Whole ones.
    Exclusive {
        /// How many.
        count: i32,
    },
    /// A share of one.
    Mps {
        /// GPU memory the pod may use.
        memory_limit: Memory,
        /// Percent of the GPU's threads it may use.
        active_thread_percent: Option<i32>,
    },
}

/// Why a spec cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The object did not come from an API server.
    #[error("the TtsDeployment has no name, namespace or uid")]
    Incomplete,
    /// Not exactly one pool.
    #[error("spec.pools has {0} entries; this version serves exactly one")]
    PoolCount(usize),
    /// An amount cannot be read.
    #[error("spec.pools[].resources.{field}: {source}")]
    Amount {
        /// The field at fault.
        field: &'static str,
        /// What is wrong with it.
        source: InvalidAmount,
    },
    /// The drain time cannot be read.
    #[error("spec.drainTimeout {0:?} is not a duration such as 30s or 5m")]
    DrainTimeout(String),
    /// MPS without a bound on memory.
    #[error("spec.pools[].resources.gpu.memoryLimit is required with mode: Mps")]
    MpsMemoryLimit,
}

/// Reads the spec.
pub fn validate(object: &TtsDeployment) -> Result<Fleet, Invalid> {
    let owner = object.controller_owner_ref(&()).ok_or(Invalid::Incomplete)?;
    let namespace = object.metadata.namespace.clone().ok_or(Invalid::Incomplete)?;
    let spec = &object.spec;
    let [pool] = spec.pools.as_slice() else {
        return Err(Invalid::PoolCount(spec.pools.len()));
    };
    Ok(Fleet {
        name: owner.name.clone(),
        namespace,
        owner,
        replicas: spec.replicas,
        drain_seconds: drain_seconds(&spec.drain_timeout)?,
        main: validate_pool(pool)?,
    })
}

fn validate_pool(pool: &Pool) -> Result<FleetPool, Invalid> {
    let Pool { name, model: _, resources, capacity, scheduling } = pool;
    let Resources { memory, cpu, ephemeral_storage, gpu } = resources;
    let Scheduling { node_selector, tolerations, topology_spread, priority_class_name } = scheduling;
    let amount = |field| move |source| Invalid::Amount { field, source };
    Ok(FleetPool {
        name: name.clone(),
        model: model_record(pool),
        memory: memory.memory().map_err(amount("memory"))?,
        cpu: cpu.cpu().map_err(amount("cpu"))?,
        ephemeral_storage: ephemeral_storage.memory().map_err(amount("ephemeralStorage"))?,
        gpu: validate_gpu(gpu)?,
        workers: capacity.workers,
        max_concurrency: capacity.max_concurrency,
        node_selector: node_selector.clone(),
        tolerations: tolerations.clone(),
        topology_spread: *topology_spread,
        priority_class_name: priority_class_name.clone(),
    })
}

fn validate_gpu(gpu: &Gpu) -> Result<FleetGpu, Invalid> {
    match gpu.mode {
        GpuMode::None => Ok(FleetGpu::None),
        GpuMode::Exclusive => Ok(FleetGpu::Exclusive { count: gpu.count.unwrap_or(1) }),
        GpuMode::Mps => {
            let limit = gpu.memory_limit.as_ref().ok_or(Invalid::MpsMemoryLimit)?;
            let memory_limit =
                limit.memory().map_err(|source| Invalid::Amount { field: "gpu.memoryLimit", source })?;
            Ok(FleetGpu::Mps { memory_limit, active_thread_percent: gpu.active_thread_percent })
        }
    }
}

fn model_record(pool: &Pool) -> ModelRecord {
    match &pool.model {
        None => ModelRecord { name: String::new(), version: String::new(), source: None },
        Some(model) => ModelRecord {
            name: model.name.clone(),
            version: model.version.clone(),
            source: Some(ModelSource { uri: model.source.uri.clone(), digest: model.source.digest.clone() }),
        },
    }
}

fn drain_seconds(text: &str) -> Result<u32, Invalid> {
    let invalid = || Invalid::DrainTimeout(text.to_owned());
    let duration: kube::core::Duration = text.parse().map_err(|_| invalid())?;
    let seconds = std::time::Duration::from(duration).as_secs();
    match u32::try_from(seconds) {
        Ok(seconds @ 1..=3600) if !duration.is_negative() => Ok(seconds),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("30s", Some(30))]
    #[case("5m", Some(300))]
    #[case("1m30s", Some(90))]
    #[case("1h", Some(3600))]
    #[case("2h", None)]
    #[case("0s", None)]
    #[case("-5s", None)]
    #[case("30", None)]
    #[case("soon", None)]
    fn drain_times_are_read_or_refused(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(drain_seconds(text).ok(), expected);
    }

    #[test]
    fn a_shared_gpu_without_a_memory_limit_is_refused() {
        let gpu = Gpu { mode: GpuMode::Mps, ..Gpu::default() };
        assert_eq!(validate_gpu(&gpu), Err(Invalid::MpsMemoryLimit));
    }

    #[test]
    fn an_object_without_a_uid_is_refused() {
        let object = TtsDeployment::new("narrator", ttsfleet_crds::TtsDeploymentSpec::default());
        assert_eq!(validate(&object), Err(Invalid::Incomplete));
    }
}
