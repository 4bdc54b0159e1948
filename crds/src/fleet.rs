//! `TtsDeployment`: one fleet of speech servers.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    Api, Expose, Gateway, Lexicon, Limits, Marking, Model, Observability, Resilience, Resources, Rollout,
    Routing, Scheduling, TtsDeploymentStatus, rules,
};

/// What a fleet shall be. Every field has a default: `spec: {}` is a fleet of
/// two pods that speak with the voice built into the image, and a gateway.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ttsfleet.dev",
    version = "v1alpha1",
    kind = "TtsDeployment",
    plural = "ttsdeployments",
    shortname = "ttsd",
    namespaced,
    status = "TtsDeploymentStatus",
    derive = "PartialEq",
    doc = "A fleet of text-to-speech servers, reached through a Service of the fleet's name.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Model", type_ = "string", json_path = ".status.model"),
    printcolumn(name = "Candidate", type_ = "string", json_path = ".status.candidate"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Serving", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')").message(
        "metadata.name must start with a letter and be at most 40 characters of a-z, 0-9 and '-', because the \
         Service and the pods are named after it; for example: narrator"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.routing.tiers) || self.routing.tiers.all(tier, tier.pools.all(name, \
     self.pools.exists(pool, pool.name == name)))"
).message(
    "routing.tiers[].pools must name pools of spec.pools; add the pool there, or remove its name from the tier"
))]
#[x_kube(validation = Rule::new(
    "self.rollout.swap.headroom != 'DrainFirst' || self.rollout.swap.allowDowntime || self.pools.all(pool, \
     (has(pool.replicas) ? pool.replicas : self.replicas) != 1)"
).message(
    "rollout.swap.headroom: DrainFirst takes a pod out of service while it changes its model, and a pool of one pod \
     has no other: raise its replicas to 2, take headroom: Overlap, or write rollout.swap.allowDowntime: true"
))]
pub struct TtsDeploymentSpec {
    /// Pods in each pool that does not say otherwise. This is the number that
    /// `kubectl scale` changes, which is why it stands here and not in the
    /// pool. 0 stops those pools and keeps everything else in place.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Groups of equal pods. Which callers may use which, and in what order,
    /// is in spec.routing.
    #[serde(default = "default_pools")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.exists(pool, oldSelf.exists(old, old.name == pool.name))").message(
        "a pool's name cannot be changed, because all of the fleet's pods would go before the new ones serve; add a \
         pool of the new name, and remove the old one once the new one serves"
    ))]
    pub pools: Vec<Pool>,

    /// The pods that callers talk to.
    #[serde(default)]
    pub gateway: Gateway,

    /// Who may use which pools.
    #[serde(default)]
    pub routing: Routing,

    /// What the speech API takes from its clients.
    #[serde(default)]
    pub api: Api,

    /// Words and how they are said.
    #[serde(default)]
    pub lexicon: Lexicon,

    /// Bounds on the text of a request.
    #[serde(default)]
    pub limits: Limits,

    /// How the fleet copes with pods that are slow, busy or gone.
    #[serde(default)]
    pub resilience: Resilience,

    /// How a changed model reaches the pods.
    #[serde(default)]
    pub rollout: Rollout,

    /// What the fleet tells about its work.
    #[serde(default)]
    pub observability: Observability,

    /// What audio says of where it comes from.
    #[serde(default)]
    pub marking: Marking,

    /// How the fleet is reached from outside the cluster. Empty: not at all.
    #[serde(default)]
    pub expose: Expose,

    /// How long a stopping pod has to finish the requests it has taken, such
    /// as 30s or 5m; 1s to 1h. Node drains and rollouts wait this long at most.
    #[serde(default = "default_drain_timeout")]
    #[schemars(length(max = 12))]
    #[x_kube(validation = rules::seconds("drainTimeout", "1s", "1h", "30s, 5m or 1m30s"))]
    pub drain_timeout: String,
}

/// A group of equal pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Names the pool's Deployment, `<fleet>-<pool>`. Cannot be changed.
    /// gateway, shadow, baseline, jobs and judge are kept for the fleet's own parts.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message(
        "a pool's name must be at most 20 characters of a-z, 0-9 and '-', and begin and end with a letter or digit; \
         for example: main"
    ))]
    #[x_kube(validation = Rule::new("!self.matches('^(gateway|jobs|(.*-)?(shadow|baseline|judge))$')").message(
        "a pool cannot be named gateway, shadow, baseline, jobs or judge, or end in -shadow, -baseline or -judge, \
         because the fleet's own parts are named so; choose another name, for example: main"
    ))]
    pub name: String,

    /// Pods in this pool; spec.replicas if absent. 0 stops the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// The model to serve. Without one, the pods speak with the voice built
    /// into the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,

    /// What one pod gets, and is held to.
    #[serde(default)]
    pub resources: Resources,

    /// How much work one pod takes on.
    #[serde(default)]
    pub capacity: Capacity,

    /// Where the pods may run.
    #[serde(default)]
    pub scheduling: Scheduling,
}

/// How much work one pod takes on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.maxConcurrency >= self.workers").message(
    "capacity.maxConcurrency must be at least capacity.workers, or some workers could never be used; raise \
     maxConcurrency or lower workers"
))]
#[x_kube(validation = Rule::new("self.maxQueueDepth < self.maxConcurrency").message(
    "capacity.maxQueueDepth must be below capacity.maxConcurrency, or no queue could ever be too deep; lower \
     maxQueueDepth or raise maxConcurrency"
))]
pub struct Capacity {
    /// Synthesis threads: texts spoken at the same time. About one for each
    /// CPU is fastest; more let short texts overtake long ones.
    #[serde(default = "default_workers")]
    #[schemars(range(min = 1, max = 64))]
    pub workers: i32,

    /// Requests a pod has in hand at once, spoken or waiting. Further ones
    /// are answered with 429.
    #[serde(default = "default_max_concurrency")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrency: i32,

    /// Requests that may wait for a synthesis thread. When more do, the pod
    /// refuses new ones until it is down to half, and at most for
    /// resilience.breaker.queue.openFor.
    #[serde(default = "default_max_queue_depth")]
    #[schemars(range(min = 0, max = 999))]
    pub max_queue_depth: i32,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            workers: default_workers(),
            max_concurrency: default_max_concurrency(),
            max_queue_depth: default_max_queue_depth(),
        }
    }
}

impl Pool {
    /// A pool with every default.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            replicas: None,
            model: None,
            resources: Resources::default(),
            capacity: Capacity::default(),
            scheduling: Scheduling::default(),
        }
    }
}

impl Default for TtsDeploymentSpec {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            pools: default_pools(),
            gateway: Gateway::default(),
            routing: Routing::default(),
            api: Api::default(),
            lexicon: Lexicon::default(),
            limits: Limits::default(),
            resilience: Resilience::default(),
            rollout: Rollout::default(),
            observability: Observability::default(),
            marking: Marking::default(),
            expose: Expose::default(),
            drain_timeout: default_drain_timeout(),
        }
    }
}

fn default_replicas() -> i32 {
    2
}

fn default_pools() -> Vec<Pool> {
    vec![Pool::named("main")]
}

fn default_drain_timeout() -> String {
    "30s".to_owned()
}

fn default_workers() -> i32 {
    8
}

fn default_max_concurrency() -> i32 {
    30
}

fn default_max_queue_depth() -> i32 {
    20
}
