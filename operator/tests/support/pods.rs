//! Pods without a kubelet: made as Deployments ask for them, and answering the
//! operator as real ones do.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::task::JoinHandle;
use ttsfleet_operator::admin::{Answer, Pods, TalkError, Target};
use ttsfleet_operator::rollout::{PoolRecord, ROLLOUT_KEY, Verb};
use ttsfleet_wire::admin::{LoadedModel, ModelStatus, Offers, Served, Timing};
use ttsfleet_wire::judge::{Measure, Quantity, Report, SESSION_KEY, Session};
use ttsfleet_wire::model::{MODEL_KEY, ModelRecord};

use super::Connection;

/// Label of a pod with the name of its Deployment.
const OF: &str = "test/deployment";

/// The pods of one namespace.
pub(crate) struct FakePods {
    client: Client,
    namespace: String,
    /// By their addresses.
    servers: Mutex<HashMap<IpAddr, Server>>,
    /// What servers were told, and what was on record then.
    told: Mutex<Vec<String>>,
    /// Questions that servers were asked.
    asked: AtomicUsize,
    /// Addresses that got the fleet's token.
    trusted: Mutex<BTreeSet<IpAddr>>,
    /// Whether what is new is worse.
    worse: bool,
}

struct Server {
    name: String,
    status: ModelStatus,
}

impl FakePods {
    /// Pods that come and go with their Deployments, until they are dropped.
    pub(crate) fn start(client: Client, namespace: &str, worse: bool) -> (Arc<Self>, Kubelet) {
        let pods = Arc::new(Self {
            client,
            namespace: namespace.to_owned(),
            servers: Mutex::default(),
            told: Mutex::default(),
            asked: AtomicUsize::default(),
            trusted: Mutex::default(),
            worse,
        });
        let busy = Arc::clone(&pods);
        let task = tokio::spawn(async move {
            loop {
                // What fails is tried again.
                let _ = busy.work().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        (pods, Kubelet(task))
    }

    /// As an operator with this connection reaches them.
    pub(crate) fn over(self: &Arc<Self>, connection: &Connection) -> Arc<dyn Pods> {
        Arc::new(Line { pods: Arc::clone(self), connection: connection.clone() })
    }

    /// What servers were told.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().expect("no test has panicked here").clone()
    }

    /// Whether this address ever got the fleet's token.
    pub(crate) fn has_trusted(&self, address: IpAddr) -> bool {
        self.trusted.lock().expect("no test has panicked here").contains(&address)
    }

    /// How often servers were asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What the pods serve and keep, by their names.
    pub(crate) fn serving(&self) -> BTreeMap<String, (String, Option<String>)> {
        let title = |model: &LoadedModel| model.record.title();
        let servers = self.servers();
        let of = |server: &Server| {
            let ModelStatus { serving, previous, .. } = &server.status;
            (serving.as_ref().map_or_else(String::new, title), previous.as_ref().map(title))
        };
        servers.values().map(|server| (server.name.clone(), of(server))).collect()
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<IpAddr, Server>> {
        self.servers.lock().expect("no test has panicked here")
    }

    async fn work(&self) -> kube::Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let wanted = deployments.list(&ListParams::default()).await?;
        let there = api.list(&ListParams::default()).await?;
        for pod in there.iter().filter(|pod| pod.labels().contains_key(OF)) {
            let stays = wanted.iter().any(|deployment| is_of(pod, deployment));
            if !stays {
                api.delete(&pod.name_any(), &DeleteParams::default()).await?;
                self.servers().retain(|_, server| server.name != pod.name_any());
            }
        }
        for deployment in wanted.iter().filter(|deployment| !deployment.name_any().ends_with("-gateway")) {
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
            for number in 0..replicas {
                let name = format!("{}-{number}", deployment.name_any());
                if !there.iter().any(|pod| pod.name_any() == name) {
                    self.create(&api, deployment, &name).await?;
                }
            }
        }
        Ok(())
    }

    async fn create(&self, api: &Api<Pod>, deployment: &Deployment, name: &str) -> kube::Result<()> {
        let template = deployment.spec.clone().expect("a spec").template;
        let mut labels = template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
        labels.insert(OF.to_owned(), deployment.name_any());
        let owner = replica_set(&self.client, &self.namespace, deployment).await?;
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            owner_references: owner.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        let pod = Pod { metadata, spec: template.spec, status: None };
        api.create(&PostParams::default(), &pod).await?;
        if let Some(config) =
            self.config(&deployment.name_any()).await.filter(|data| data.contains_key(MODEL_KEY))
        {
            let record: ModelRecord = serde_json::from_str(&config[MODEL_KEY]).expect("a model");
            let status = ModelStatus { serving: Some(loaded(&record)), ..ModelStatus::default() };
            self.servers().insert(address(name), Server { name: name.to_owned(), status });
        }
        let ip = address(name).to_string();
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    async fn config(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        api.get_opt(name).await.ok()??.data
    }

    /// What is on record of the pool.
    pub(crate) async fn record(&self) -> PoolRecord {
        let data = self.config("narrator-main").await.expect("a record");
        serde_json::from_str(&data[ROLLOUT_KEY]).expect("a record")
    }

    async fn follow(&self, target: &Target, verb: &Verb) -> Result<ModelStatus, TalkError> {
        let record = self.record().await;
        let phase = record.rollout.map_or("at rest".to_owned(), |rollout| rollout.phase.to_string());
        let mut servers = self.servers();
        let server = servers.get_mut(&target.address).ok_or_else(gone)?;
        let status = &mut server.status;
        let what = match verb {
            Verb::Stage(model) => {
                status.staged.push(model.clone());
                format!("stage {}", model.title())
            }
            Verb::Swap(model, _) => {
                status.previous = status.serving.replace(loaded(model));
                status.swaps += 1;
                format!("swap {}", model.title())
            }
            Verb::Revert => {
                std::mem::swap(&mut status.serving, &mut status.previous);
                "revert".to_owned()
            }
            Verb::Free => {
                status.previous = None;
                "free".to_owned()
            }
            Verb::Recycle(_) => unreachable!("not asked of pods"),
        };
        self.told.lock().expect("no test has panicked here").push(format!("{what}, {phase}"));
        Ok(status.clone())
    }

    async fn measured(&self) -> Result<Report, TalkError> {
        use Quantity::{Cer, Errors, FirstSound, Latency, Loudness, Mos, Prosody, Treble};
        let data = self.config("narrator-main-judge").await.ok_or_else(gone)?;
        let session: Session = serde_json::from_str(&data[SESSION_KEY]).expect("a session");
        let quantities = [Cer, Mos, Prosody, Loudness, Treble, Errors, FirstSound, Latency];
        let measure = |quantity| {
            let middle = if matches!(quantity, FirstSound | Latency) { 1.0 } else { 0.0 };
            let difference = if self.worse && quantity == Cer { 0.5 } else { middle };
            let (low, high) = (difference - 0.001, difference + 0.001);
            Measure { quantity, samples: 50, baseline: 1.0, candidate: 1.0, difference, low, high }
        };
        Ok(Report {
            session: session.id,
            samples: 50,
            from_prompts: 50,
            repeated: 0,
            waiting: 0,
            dropped: 0,
            trouble: None,
            measures: quantities.map(measure).to_vec(),
        })
    }
}

/// What a Deployment makes its pods by; one for each Deployment is enough here.
pub(crate) async fn replica_set(
    client: &Client,
    namespace: &str,
    deployment: &Deployment,
) -> kube::Result<ReplicaSet> {
    let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let name = format!("set-{}", deployment.uid().unwrap_or_default());
    if let Some(there) = api.get_opt(&name).await? {
        return Ok(there);
    }
    let spec = deployment.spec.clone().expect("a spec");
    let owner = deployment.controller_owner_ref(&());
    let set = json!({
        "metadata": {"name": name, "labels": deployment.labels(), "ownerReferences": [owner]},
        "spec": {"selector": spec.selector, "template": spec.template, "replicas": spec.replicas},
    });
    api.create(&PostParams::default(), &serde_json::from_value(set).expect("a ReplicaSet")).await
}

fn is_of(pod: &Pod, deployment: &Deployment) -> bool {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let mut labels = template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    labels.insert(OF.to_owned(), deployment.name_any());
    pod.labels() == &labels
}

/// Each name has its own.
fn address(name: &str) -> IpAddr {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let [a, b, c, ..] = hasher.finish().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, a, b, c))
}

fn loaded(record: &ModelRecord) -> LoadedModel {
    LoadedModel {
        record: record.clone(),
        name: record.name.clone(),
        version: record.version.clone(),
        digest: format!("sha256:{}", record.title()),
        served: Served::default(),
        timing: Timing::default(),
        offers: Offers::default(),
    }
}

fn gone() -> TalkError {
    TalkError::Silent("no such pod".to_owned())
}

/// What makes pods. They stay as they are once it is dropped.
pub(crate) struct Kubelet(JoinHandle<()>);

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The pods, as far as a connection lasts.
struct Line {
    pods: Arc<FakePods>,
    connection: Connection,
}

impl Line {
    fn up(&self) -> Result<(), TalkError> {
        if self.connection.is_dead() { Err(gone()) } else { Ok(()) }
    }
}

impl Pods for Line {
    fn status<'a>(&'a self, pod: &'a Target) -> Answer<'a, ModelStatus> {
        self.pods.asked.fetch_add(1, Ordering::SeqCst);
        self.pods.trusted.lock().expect("no test has panicked here").insert(pod.address);
        let found = self.pods.servers().get(&pod.address).map(|server| server.status.clone());
        Box::pin(std::future::ready(self.up().and(found.ok_or_else(gone))))
    }

    fn tell<'a>(&'a self, pod: &'a Target, verb: &'a Verb) -> Answer<'a, ModelStatus> {
        Box::pin(async move {
            self.up()?;
            self.pods.follow(pod, verb).await
        })
    }

    fn report<'a>(&'a self, _judge: &'a Target) -> Answer<'a, Report> {
        Box::pin(async move {
            self.up()?;
            self.pods.measured().await
        })
    }
}
