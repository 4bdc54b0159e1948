//! Turns a spec into values that the following steps need not doubt.
//!
//! The API server's rules have checked all of this already. It is checked
//! again because the installed definition may be older than the operator.

mod duration;
mod rollout;
mod route;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use ttsfleet_crds::amount::{Cpu, InvalidAmount, Memory};
use ttsfleet_crds::{
    Expose, Gateway, Gpu, GpuMode, HttpRoute, Ingress, LogFormat, Marking, OnUnspeakable, Pool, Resources,
    Scheduling, Traces, TtsDeployment, TtsDeploymentSpec,
};
use ttsfleet_wire::model::ModelRecord;
use ttsfleet_wire::route::RouteTable;

pub use rollout::FleetRollout;

/// A fleet that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Name of the TtsDeployment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Points every child back to it.
    pub owner: OwnerReference,
    /// Seconds that a stopping pod has for its requests.
    pub drain_seconds: u32,
    /// Seconds for which a pod with too long a queue refuses requests.
    pub busy_seconds: u32,
    /// What becomes of a text with letters that a voice cannot speak.
    pub on_unspeakable: OnUnspeakable,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Where traces go.
    pub traces: Option<Traces>,
    /// What audio says of where it comes from.
    pub marking: Marking,
    /// The pools; never empty.
    pub pools: Vec<FleetPool>,
    /// The gateway.
    pub gateway: FleetGateway,
    /// How a changed model reaches the pods.
    pub rollout: FleetRollout,
    /// How the fleet is reached from outside the cluster.
    pub expose: FleetExpose,
}

/// A gateway that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetGateway {
    /// How many pods.
    pub replicas: i32,
    /// Memory of one pod.
    pub memory: Memory,
    /// CPU of one pod.
    pub cpu: Cpu,
    /// Secret with API keys.
    pub api_keys: Option<String>,
    /// What it is told.
    pub route: RouteTable,
}

/// Ways from outside the cluster to the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetExpose {
    /// An Ingress.
    pub ingress: Option<Ingress>,
    /// An HTTPRoute.
    pub http_route: Option<HttpRoute>,
    /// How long the entry point waits for the answer.
    pub entry_timeout: Duration,
    /// How long it waits for one pod of the gateway.
    pub gateway_timeout: Duration,
}

/// A pool that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetPool {
    /// The pool's name.
    pub name: String,
    /// How many pods.
    pub replicas: i32,
    /// The model that the spec names; what the pods are told to serve is on
    /// record.
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
    /// Requests that may wait in one pod.
    pub max_queue_depth: i32,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Whether pods are spread over nodes.
    pub topology_spread: bool,
    /// The pods' PriorityClass.
    pub priority_class_name: Option<String>,
}

impl FleetPool {
    /// Whether a new model is compared with fresh pods. Where pods have GPUs for
    /// themselves it is compared with those that serve: two spare GPUs beside
    /// them must not be taken for granted.
    pub fn fresh_baseline(&self) -> bool {
        !matches!(self.gpu, FleetGpu::Exclusive { .. })
    }
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
    /// No pool.
    #[error("spec.pools is empty; write at least one pool")]
    NoPool,
    /// An amount cannot be read.
    #[error("spec.{field}: {source}")]
    Amount {
        /// The field at fault.
        field: &'static str,
        /// What is wrong with it.
        source: InvalidAmount,
    },
    /// A duration cannot be read.
    #[error("spec.{field}: {text:?} is not a duration such as 500ms, 30s or 5m in its range")]
    Duration {
        /// The field at fault.
        field: &'static str,
        /// What it says.
        text: String,
    },
    /// A tier may use a pool that there is not.
    #[error("spec.routing.tiers: tier {tier} names pool {pool}, which spec.pools does not have")]
    UnknownPool {
        /// The tier.
        tier: String,
        /// The pool.
        pool: String,
    },
    /// The default tier is none of the tiers.
    #[error("spec.routing.defaultTier: there is no tier {0:?}")]
    UnknownTier(String),
    /// Two ways to name a tier.
    #[error("spec.routing.tierFrom takes apiKeySecretRef or header, not both")]
    TwoTierSources,
    /// MPS without a bound on memory.
    #[error("spec.pools[].resources.gpu.memoryLimit is required with mode: Mps")]
    MpsMemoryLimit,
    /// A pool called like a part of a rollout.
    #[error("spec.pools: {0} ends like what is there while a model is tried; choose another name")]
    ReservedPool(String),
    /// A gate that is no number.
    #[error("spec.rollout.gates: the gates must be decimal numbers in quotes")]
    Gates(#[source] std::num::ParseFloatError),
    /// Whisper without a model.
    #[error("spec.rollout.judge.recogniser.source is required with kind: Whisper")]
    WhisperSource,
}

/// Reads the spec.
pub fn validate(object: &TtsDeployment) -> Result<Fleet, Invalid> {
    let owner = object.controller_owner_ref(&()).ok_or(Invalid::Incomplete)?;
    let namespace = object.metadata.namespace.clone().ok_or(Invalid::Incomplete)?;
    let spec = &object.spec;
    if spec.pools.is_empty() {
        return Err(Invalid::NoPool);
    }
    let pools = spec.pools.iter().map(|pool| validate_pool(pool, spec.replicas));
    let pools: Vec<FleetPool> = pools.collect::<Result<_, _>>()?;
    Ok(Fleet {
        drain_seconds: duration::seconds("drainTimeout", &spec.drain_timeout)?,
        busy_seconds: duration::seconds(
            "resilience.breaker.queue.openFor",
            &spec.resilience.breaker.queue.open_for,
        )?,
        on_unspeakable: spec.limits.on_unspeakable,
        log_format: spec.observability.log_format,
        traces: spec.observability.traces.clone(),
        marking: spec.marking.clone(),
        gateway: validate_gateway(&owner.name, spec, &pools)?,
        rollout: rollout::read(&spec.rollout)?,
        expose: validate_expose(spec)?,
        pools,
        name: owner.name.clone(),
        namespace,
        owner,
    })
}

fn validate_gateway(
    fleet: &str,
    spec: &TtsDeploymentSpec,
    pools: &[FleetPool],
) -> Result<FleetGateway, Invalid> {
    let Gateway { replicas, resources } = &spec.gateway;
    let keys = spec.routing.tier_from.api_key_secret_ref.as_ref();
    Ok(FleetGateway {
        replicas: *replicas,
        memory: resources.memory.memory().map_err(amount("gateway.resources.memory"))?,
        cpu: resources.cpu.cpu().map_err(amount("gateway.resources.cpu"))?,
        api_keys: keys.map(|secret| secret.name.clone()),
        route: route::table(fleet, spec, pools)?,
    })
}

fn validate_expose(spec: &TtsDeploymentSpec) -> Result<FleetExpose, Invalid> {
    let Expose { ingress, http_route } = &spec.expose;
    let timeouts = &spec.resilience.timeouts;
    Ok(FleetExpose {
        ingress: ingress.clone(),
        http_route: http_route.clone(),
        entry_timeout: duration::read("resilience.timeouts.ingress", &timeouts.ingress)?,
        gateway_timeout: duration::read("resilience.timeouts.client", &timeouts.client)?,
    })
}

fn amount(field: &'static str) -> impl FnOnce(InvalidAmount) -> Invalid {
    move |source| Invalid::Amount { field, source }
}

/// `replicas` are those of a pool that does not say.
fn validate_pool(pool: &Pool, replicas: i32) -> Result<FleetPool, Invalid> {
    let Pool { name, replicas: own, model: _, resources, capacity, scheduling } = pool;
    let Resources { memory, cpu, ephemeral_storage, gpu } = resources;
    let Scheduling { node_selector, tolerations, topology_spread, priority_class_name } = scheduling;
    if ["-shadow", "-baseline", "-judge"].iter().any(|end| name.ends_with(end)) {
        return Err(Invalid::ReservedPool(name.clone()));
    }
    Ok(FleetPool {
        name: name.clone(),
        replicas: own.unwrap_or(replicas),
        model: model_record(pool),
        memory: memory.memory().map_err(amount("pools[].resources.memory"))?,
        cpu: cpu.cpu().map_err(amount("pools[].resources.cpu"))?,
        ephemeral_storage: ephemeral_storage
            .memory()
            .map_err(amount("pools[].resources.ephemeralStorage"))?,
        gpu: validate_gpu(gpu)?,
        workers: capacity.workers,
        max_concurrency: capacity.max_concurrency,
        max_queue_depth: capacity.max_queue_depth,
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
            let memory_limit = limit.memory().map_err(amount("pools[].resources.gpu.memoryLimit"))?;
            Ok(FleetGpu::Mps { memory_limit, active_thread_percent: gpu.active_thread_percent })
        }
    }
}

fn model_record(pool: &Pool) -> ModelRecord {
    match &pool.model {
        None => ModelRecord::default(),
        Some(model) => ModelRecord {
            name: model.name.clone(),
            version: model.version.clone(),
            source: Some(rollout::model_source(&model.source)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ttsfleet_crds::{Quota, SecretRef, Tier};
    use ttsfleet_wire::route::{TierFrom, TierRoute};

    fn validated(change: impl FnOnce(&mut TtsDeploymentSpec)) -> Result<Fleet, Invalid> {
        let mut spec = TtsDeploymentSpec::default();
        change(&mut spec);
        let mut object = TtsDeployment::new("narrator", spec);
        object.metadata.namespace = Some("studio".to_owned());
        object.metadata.uid = Some("0b0e".to_owned());
        validate(&object)
    }

    fn tier(name: &str, pools: &[&str]) -> Tier {
        Tier {
            name: name.to_owned(),
            pools: pools.iter().map(|&pool| pool.to_owned()).collect(),
            weight: 1,
            on_exhausted: None,
            quota: None,
        }
    }

    fn two_pools(spec: &mut TtsDeploymentSpec) {
        spec.pools.push(Pool::named("backup"));
    }

    #[test]
    fn a_tiers_quota_is_what_each_of_its_callers_may_have() {
        let quota = Quota { requests_per_minute: Some(60), characters_per_day: Some(1_000_000) };
        let tiers = vec![Tier { quota: Some(quota), ..tier("paid", &["main"]) }, tier("free", &["main"])];
        let route = validated(|spec| spec.routing.tiers = tiers.clone()).expect("valid").gateway.route;
        let quotas =
            route.tiers.iter().map(|tier| (tier.quota.requests_per_minute, tier.quota.characters_per_day));
        assert_eq!(quotas.collect::<Vec<_>>(), [(Some(60), Some(1_000_000)), (None, None)]);
    }

    #[test]
    fn without_tiers_there_is_one_with_all_pools_in_order() {
        let route = validated(two_pools).expect("valid").gateway.route;
        let pools = vec!["main".to_owned(), "backup".to_owned()];
        let tier = TierRoute {
            name: "standard".to_owned(),
            pools,
            weight: 1,
            on_exhausted: None,
            quota: Default::default(),
        };
        assert_eq!(route.tiers, [tier]);
        assert_eq!((route.default_tier.as_str(), route.tier_from), ("standard", TierFrom::Nothing));
        assert_eq!(route.pools[1].service, "narrator-backup");
    }

    #[test]
    fn the_first_tier_is_the_default_one_unless_another_is_named() {
        let named = |default: Option<&str>| {
            let default = default.map(str::to_owned);
            validated(|spec| {
                two_pools(spec);
                spec.routing.tiers =
                    vec![tier("premium", &["main", "backup"]), tier("standard", &["backup"])];
                spec.routing.default_tier = default;
            })
            .map(|fleet| fleet.gateway.route.default_tier)
        };
        assert_eq!(named(None).as_deref(), Ok("premium"));
        assert_eq!(named(Some("standard")).as_deref(), Ok("standard"));
        assert_eq!(named(Some("gold")), Err(Invalid::UnknownTier("gold".to_owned())));
    }

    #[test]
    fn what_an_older_definition_lets_through_is_refused_in_words() {
        let unknown = validated(|spec| spec.routing.tiers = vec![tier("premium", &["main", "spare"])]);
        assert!(unknown.unwrap_err().to_string().contains("names pool spare"));
        let both = validated(|spec| {
            spec.routing.tier_from.header = Some("x-tier".to_owned());
            spec.routing.tier_from.api_key_secret_ref = Some(SecretRef { name: "keys".to_owned() });
        });
        assert_eq!(both, Err(Invalid::TwoTierSources));
        assert_eq!(validated(|spec| spec.pools.clear()), Err(Invalid::NoPool));
        let endless = validated(|spec| spec.resilience.timeouts.attempt = "forever".to_owned());
        assert!(endless.unwrap_err().to_string().contains("spec.resilience.timeouts.attempt"));
    }

    #[test]
    fn a_pools_own_number_comes_before_the_fleets() {
        let fleet = validated(|spec| {
            two_pools(spec);
            spec.replicas = 5;
            spec.pools[1].replicas = Some(1);
        });
        let replicas: Vec<i32> = fleet.expect("valid").pools.iter().map(|pool| pool.replicas).collect();
        assert_eq!(replicas, [5, 1]);
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
