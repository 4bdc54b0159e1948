//! Many fleets on an API server without nodes: how long until all have
//! converged, beside the plain writing of as many objects; the operator's
//! memory; and the writes once nothing changes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::product::operator_binary;
use ttsfleet_e2e::progress::Console;

const NAMESPACE: &str = "default";
/// Requests under way at once, of ours.
const AT_ONCE: usize = 16;
const GIVE_UP: Duration = Duration::from_secs(900);
const REST: Duration = Duration::from_secs(30);
const HEALTH: &str = "127.0.0.1:18081";
/// What a fleet is made of, as the API server's metrics name it.
const COUNTED: [&str; 8] = [
    "ttsdeployments",
    "deployments",
    "services",
    "configmaps",
    "serviceaccounts",
    "poddisruptionbudgets",
    "networkpolicies",
    "events",
];

/// The figures of this part.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Thousand {
    fleets: usize,
    raw_writes_per_second: f64,
    converge_seconds: f64,
    /// All writes while converging: fleets, children, status, events, and the
    /// pretended status of Deployments.
    writes: u64,
    /// Seconds that the same number of plain writes would take.
    raw_seconds: f64,
    /// `converge_seconds` over `raw_seconds`.
    ratio: f64,
    empty_rss_mib: f64,
    full_rss_mib: f64,
    peak_rss_mib: f64,
    writes_at_rest: u64,
}

pub(crate) fn measure(fleets: usize) -> Result<Thousand> {
    let server = ControlPlane::start(Options { controllers: false }, &Console::default())?;
    let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/generated");
    server.kubectl(&["apply", "--server-side", "-f", crds])?;
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    let binary = operator_binary(&Console::default())?;
    let figures = tokio::runtime::Runtime::new()?.block_on(run(&server.kubeconfig(), &binary, fleets))?;
    print(&figures);
    Ok(figures)
}

async fn run(kubeconfig: &Path, binary: &Path, fleets: usize) -> Result<Thousand> {
    let client = connect(kubeconfig).await?;
    let raw_writes_per_second = raw_rate(&client, fleets * 2).await?;
    let operator = Operator::start(binary, kubeconfig)?;
    operator.wait_ready().await?;
    let empty_rss_mib = operator.memory("VmRSS")?;
    let before = writes(&client).await?;

    let begun = Instant::now();
    create_fleets(&client, fleets).await?;
    while pretend_ready(&client, fleets).await? < fleets {
        if begun.elapsed() > GIVE_UP {
            bail!("the fleets have not converged after {GIVE_UP:?}");
        }
    }
    let converge_seconds = begun.elapsed().as_secs_f64();
    let writes_done = settled(&client).await?;
    let full_rss_mib = operator.memory("VmRSS")?;
    // A resting time is what is measured here.
    tokio::time::sleep(REST).await;
    let writes_at_rest = writes(&client).await? - writes_done;

    let raw_seconds = (writes_done - before) as f64 / raw_writes_per_second;
    Ok(Thousand {
        fleets,
        raw_writes_per_second,
        converge_seconds,
        writes: writes_done - before,
        raw_seconds,
        ratio: converge_seconds / raw_seconds,
        empty_rss_mib,
        full_rss_mib,
        peak_rss_mib: operator.memory("VmHWM")?,
        writes_at_rest,
    })
}

async fn connect(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Plain creates a second, of small ConfigMaps.
async fn raw_rate(client: &Client, count: usize) -> Result<f64> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let begun = Instant::now();
    stream::iter(0..count)
        .map(|number| {
            let api = api.clone();
            async move {
                let object: ConfigMap = serde_json::from_value(json!({
                    "metadata": {"name": format!("raw-{number}")},
                    "data": {"content": "as long as the ConfigMap of a fleet's model, more or less"},
                }))?;
                api.create(&PostParams::default(), &object).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn fleets_api(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("ttsfleet.dev", "v1alpha1", "TtsDeployment");
    let resource = ApiResource::from_gvk_with_plural(&kind, "ttsdeployments");
    Api::namespaced_with(client.clone(), NAMESPACE, &resource)
}

async fn create_fleets(client: &Client, count: usize) -> Result<()> {
    let api = fleets_api(client);
    stream::iter(0..count)
        .map(|number| {
            let api = api.clone();
            async move {
                let object: DynamicObject = serde_json::from_value(json!({
                    "apiVersion": "ttsfleet.dev/v1alpha1",
                    "kind": "TtsDeployment",
                    "metadata": {"name": format!("fleet-{number}")},
                    "spec": {},
                }))?;
                api.create(&PostParams::default(), &object).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Stands in for controllers and kubelets: reports new Deployments as ready.
/// Gives the number of fleets that are ready.
async fn pretend_ready(client: &Client, fleets: usize) -> Result<usize> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let waiting = api.list(&ListParams::default()).await?.items.into_iter().filter(|deployment| {
        let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
        seen != deployment.metadata.generation
    });
    stream::iter(waiting)
        .map(|deployment| {
            let api = api.clone();
            async move {
                let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
                let status = json!({"status": {
                    "observedGeneration": deployment.metadata.generation,
                    "replicas": replicas, "readyReplicas": replicas,
                    "updatedReplicas": replicas, "availableReplicas": replicas,
                    "conditions": [
                        {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
                    ],
                }});
                let name = deployment.name_any();
                api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let list = fleets_api(client).list(&ListParams::default()).await?;
    let ready = list.items.iter().filter(|fleet| is_ready(&fleet.data)).count();
    Ok(ready.min(fleets))
}

fn is_ready(fleet: &Value) -> bool {
    let conditions = fleet["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Writes the API server has taken for the kinds that fleets are made of.
async fn writes(client: &Client) -> Result<u64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = client.request_text(request).await?;
    let counts = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && ["POST", "PUT", "PATCH", "APPLY", "DELETE"]
                .iter()
                .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && COUNTED.iter().any(|resource| line.contains(&format!("resource=\"{resource}\"")))
    });
    let values = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum::<f64>() as u64)
}

/// Waits until no write has come for a second; their number.
async fn settled(client: &Client) -> Result<u64> {
    let mut last = writes(client).await?;
    let begun = Instant::now();
    while begun.elapsed() < GIVE_UP {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = writes(client).await?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    bail!("the writes do not end")
}

/// The operator as a process of this machine.
struct Operator(Child);

impl Operator {
    fn start(binary: &Path, kubeconfig: &Path) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args([
            "--inference-image",
            "ttsfleet.dev/inference:bench",
            "--gateway-image",
            "ttsfleet.dev/gateway:bench",
            "--judge-image",
            "ttsfleet.dev/judge:bench",
            "--no-leader-election",
            "--listen",
            HEALTH,
        ]);
        command.env("KUBECONFIG", kubeconfig).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("cannot start the operator")?))
    }

    async fn wait_ready(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let answer = ureq::get(format!("http://{HEALTH}/readyz")).call();
            if answer.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the operator does not become ready")
    }

    /// A line of `/proc/PID/status` in MiB.
    fn memory(&self, field: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such line")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no value")?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn print(figures: &Thousand) {
    println!("\n{} fleets on an API server without nodes", figures.fleets);
    println!("  plain writes of the API server  {:8.0} /s", figures.raw_writes_per_second);
    println!("  all fleets ready after          {:8.1} s", figures.converge_seconds);
    println!("  writes until then               {:8}", figures.writes);
    println!("  plain writes of that number     {:8.1} s", figures.raw_seconds);
    println!("  ratio                           {:8.2}", figures.ratio);
    println!("  operator memory, no fleets      {:8.1} MiB", figures.empty_rss_mib);
    println!("  operator memory, all fleets     {:8.1} MiB", figures.full_rss_mib);
    println!("  operator memory, peak           {:8.1} MiB", figures.peak_rss_mib);
    println!("  writes in {} s at rest          {:8}", REST.as_secs(), figures.writes_at_rest);
}
