//! A cluster of two nodes that outlives the program that starts it.

mod usage;

pub use usage::PodSignal;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::addons;
use crate::cgroup::Cgroup;
use crate::command::{read, tail, tool, write};
use crate::control_plane::Settings;
use crate::image::{Image, ImageFile, ImageSpec};
use crate::network::{self, NODES, Plan};
use crate::node::{self, Node};
use crate::pki::Authority;
use crate::process::{Recorded, start_detached, wait_until};
use crate::progress::{Progress, Step, clock};
use crate::tools::{self, Tools};

const CONTROL_PLANE: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// keeper, containerd, kubelet, kube-proxy, GPU plugin.
const NODE_PROGRAMS: usize = 5;
const TYPICAL_START: Duration = Duration::from_secs(20);

/// What is remembered about a cluster between two programs that use it.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Decides its addresses.
    index: u8,
    /// Programs by name; those of a node as `node-1/kubelet`.
    processes: BTreeMap<String, Recorded>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    cache: PathBuf,
    plan: Plan,
    state: Mutex<State>,
    settings: Settings,
}

impl Cluster {
    /// Gives the cluster of this name: the running one if it is healthy, else
    /// started, with the objects it had before if it was only stopped.
    pub fn up(name: &str, progress: &dyn Progress) -> Result<Self> {
        check_name(name)?;
        require_root()?;
        let tools = tools::ensure_tools(progress)?;
        let cache = tools::cache_dir()?;
        let folder = folder(&cache, name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let _one_at_a_time = tools::lock(&cache.join("clusters/lock"), progress)?;
        let known = load(&folder)?;
        if let Some(state) = known {
            let cluster = Self::with_state(name, &cache, tools.clone(), state);
            if cluster.healthy() {
                return Ok(cluster);
            }
            cluster.stop()?;
            return cluster.start(progress);
        }
        let state = State { index: network::free_index(&held_indexes(&cache)?)?, processes: BTreeMap::new() };
        Self::with_state(name, &cache, tools, state).start(progress)
    }

    /// The cluster of this name if it runs and is healthy.
    pub fn find(name: &str) -> Result<Option<Self>> {
        check_name(name)?;
        let cache = tools::cache_dir()?;
        let Some(state) = load(&folder(&cache, name))? else { return Ok(None) };
        let tools = Tools { bin: cache.join("bin") };
        let cluster = Self::with_state(name, &cache, tools, state);
        Ok(cluster.healthy().then_some(cluster))
    }

    /// Removes a cluster and everything that belongs to it; true if there was one.
    pub fn down(name: &str, progress: &dyn Progress) -> Result<bool> {
        check_name(name)?;
        let cache = tools::cache_dir()?;
        let folder = folder(&cache, name);
        if !folder.exists() {
            return Ok(false);
        }
        require_root()?;
        let _one_at_a_time = tools::lock(&cache.join("clusters/lock"), progress)?;
        if let Some(state) = load(&folder)? {
            let tools = Tools { bin: cache.join("bin") };
            Self::with_state(name, &cache, tools, state).stop()?;
        }
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        progress.note(&format!("cluster {name} is gone"));
        Ok(true)
    }

    fn with_state(name: &str, cache: &Path, tools: Tools, state: State) -> Self {
        let plan = Plan::of_index(state.index);
        let settings = Settings {
            folder: folder(cache, name),
            tools,
            address: plan.host(),
            port: 6443,
            services: (plan.services(), plan.api_service()),
            controllers: true,
        };
        Cluster { name: name.to_owned(), cache: cache.to_owned(), plan, state: Mutex::new(state), settings }
    }

    /// All its programs run, the API server answers and no node is down.
    fn healthy(&self) -> bool {
        let expected = CONTROL_PLANE.len() + usize::from(NODES) * NODE_PROGRAMS;
        let running = self.state().processes.values().filter(|process| process.runs()).count();
        running == expected && self.nodes_since("").is_ok_and(|ready| ready == NODES)
    }

    fn start(self, progress: &dyn Progress) -> Result<Self> {
        let begun = Instant::now();
        let what = format!("starting the cluster {}", self.name);
        let show = |detail: &str| {
            let typical = Some(TYPICAL_START);
            progress.step(&Step { what: &what, detail, elapsed: begun.elapsed(), typical });
        };
        let since = tool(&["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"])?.trim().to_owned();
        let mut state = self.state();
        state.processes.clear();
        self.save(&state)?;
        drop(state);
        show("images");
        let pause = self.own_image("pause", &[])?;
        let dns = self.own_image("coredns", &[])?;
        show("network");
        self.group().create()?;
        self.group().child("daemons").create()?;
        network::create_bridge(self.plan)?;
        let authority = self.settings.prepare()?;
        show("API server and nodes");
        self.start_program("etcd")?;
        self.start_program("kube-apiserver")?;
        self.open_nodes(&[pause, dns.clone()])?;
        network::route_services(self.plan)?;
        self.wait_api_server()?;
        show("kubelets");
        for program in ["kube-controller-manager", "kube-scheduler"] {
            self.start_program(program)?;
        }
        self.start_kubelets(&authority)?;
        self.settings.apply(&addons::dns(self.plan, &dns.reference).to_string())?;
        self.wait_usable(&since, &show)?;
        progress.note(&format!("cluster {} is up after {}", self.name, clock(begun.elapsed())));
        Ok(self)
    }

    /// Starts containerd in every node, all nodes at once, with these images.
    fn open_nodes(&self, images: &[Image]) -> Result<()> {
        self.on_every_node(|number| {
            let node = self.node(number);
            let keeper = node.open()?;
            self.record(&format!("{}/keeper", node.name()), keeper)?;
            let pause = images.first().context("no pause image")?;
            let runtime = node.start(keeper, "containerd", &node.containerd_arguments(pause)?)?;
            let answers = || Ok(!runtime.alive() || node.run(keeper, &["ctr", "version"]).is_ok());
            if !wait_until(Duration::from_secs(30), answers)? || !runtime.alive() {
                bail!("containerd does not start: {}", tail(&node.folder.join("containerd.log"), 5));
            }
            for image in images {
                node.import(keeper, image)?;
            }
            self.record(&format!("{}/containerd", node.name()), runtime)
        })?;
        Ok(())
    }

    fn start_kubelets(&self, authority: &Authority) -> Result<()> {
        for number in 1..=NODES {
            let keeper = self.keeper(number)?;
            let node = self.node(number);
            let plugin = vec!["-node".to_owned(), node.name()];
            let programs = [
                ("kubelet", node.kubelet_arguments(authority)?),
                ("kube-proxy", node.proxy_arguments(authority)?),
                ("fake-gpu-plugin", plugin),
            ];
            for (program, arguments) in programs {
                let started = node.start(keeper, program, &arguments)?;
                self.record(&format!("{}/{program}", node.name()), started)?;
            }
        }
        Ok(())
    }

    fn wait_usable(&self, since: &str, show: &dyn Fn(&str)) -> Result<()> {
        let usable = wait_until(Duration::from_secs(90), || {
            let ready = self.nodes_since(since).unwrap_or(0);
            show(&format!("{ready} of {NODES} nodes are ready"));
            if let Some((name, _)) = self.state().processes.iter().find(|(_, process)| !process.alive()) {
                bail!("{name} ended: {}", tail(&self.log(name), 5));
            }
            let dns = SocketAddr::from((self.plan.dns(), 53));
            Ok(ready == NODES && TcpStream::connect_timeout(&dns, Duration::from_millis(300)).is_ok())
        })?;
        if !usable {
            let kubelet = tail(&self.log("node-1/kubelet"), 5);
            bail!("the cluster is not usable after 90 s; the kubelet of node-1 says: {kubelet}");
        }
        Ok(())
    }

    /// How many nodes are ready, by what they reported at `since` or later, and
    /// offer their GPU.
    fn nodes_since(&self, since: &str) -> Result<u8> {
        let list: Value = serde_json::from_str(&self.kubectl(&["get", "nodes", "-o", "json"])?)?;
        let nodes = list["items"].as_array().context("no list of nodes")?;
        let ready = nodes.iter().filter(|node| node_ready(node, since)).count();
        u8::try_from(ready).context("too many nodes")
    }

    fn stop(&self) -> Result<()> {
        self.group().destroy()?;
        for number in 1..=NODES {
            release_disk(&self.node(number).folder.join("disk.img"))?;
        }
        network::destroy(self.plan)
    }

    fn start_program(&self, program: &str) -> Result<()> {
        let arguments = self.settings.arguments(program)?;
        let group = self.group().child("daemons").procs_file().display().to_string();
        let file = self.settings.tools.path(program).display().to_string();
        let mut line = vec!["-c".to_owned(), "echo $$ > \"$0\"; exec \"$@\"".to_owned(), group, file];
        line.extend(arguments);
        let started = start_detached("sh", &line, &self.settings.log(program))?;
        self.record(program, started)
    }

    fn record(&self, name: &str, process: Recorded) -> Result<()> {
        let mut state = self.state();
        state.processes.insert(name.to_owned(), process);
        self.save(&state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_api_server(&self) -> Result<()> {
        let server = self.process("kube-apiserver")?;
        self.settings.wait_ready(|| server.alive())
    }

    fn save(&self, state: &State) -> Result<()> {
        let file = self.settings.folder.join("state.json");
        let unfinished = file.with_extension("unfinished");
        write(&unfinished, serde_json::to_vec_pretty(state)?)?;
        std::fs::rename(unfinished, file).context("cannot save the cluster's state")
    }

    fn group(&self) -> Cgroup {
        Cgroup::of_cluster(&self.name, self.state().index)
    }

    fn node(&self, number: u8) -> Node<'_> {
        let name = node::name(number);
        Node {
            number,
            plan: self.plan,
            folder: self.settings.folder.join(&name),
            certificates: self.settings.certificates(),
            cache: &self.cache,
            tools: &self.settings.tools,
            group: self.group().child(&name),
        }
    }

    fn process(&self, name: &str) -> Result<Recorded> {
        self.state().processes.get(name).copied().with_context(|| format!("the cluster runs no {name}"))
    }

    fn keeper(&self, number: u8) -> Result<Recorded> {
        self.process(&format!("{}/keeper", node::name(number)))
    }

    fn on_every_node<T: Send>(&self, work: impl Fn(u8) -> Result<T> + Sync) -> Result<Vec<T>> {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = (1..=NODES).map(|number| scope.spawn(move || work(number))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|result| result.unwrap_or_else(|_| bail!("a node's thread panicked"))).collect()
        })
    }

    /// An image of one of our own programs.
    fn own_image(&self, program: &str, env: &[String]) -> Result<Image> {
        let spec = ImageSpec {
            repository: format!("ttsfleet.local/{program}"),
            files: vec![ImageFile::program(program, &self.settings.tools.path(program))],
            entrypoint: vec![format!("/{program}")],
            env: env.to_vec(),
        };
        self.build_image(&spec)
    }
}

fn folder(cache: &Path, name: &str) -> PathBuf {
    cache.join("clusters").join(name)
}

/// Indexes of all clusters in the cache, stopped ones included.
fn held_indexes(cache: &Path) -> Result<Vec<u8>> {
    let mut held = Vec::new();
    for entry in std::fs::read_dir(cache.join("clusters")).context("cannot list the clusters")? {
        held.extend(load(&entry?.path())?.map(|state| state.index));
    }
    Ok(held)
}

fn load(folder: &Path) -> Result<Option<State>> {
    let file = folder.join("state.json");
    if !file.exists() {
        return Ok(None);
    }
    let state = serde_json::from_str(&read(&file)?);
    state.map(Some).with_context(|| format!("{} is unreadable", file.display()))
}

fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 20 || !name.bytes().all(plain) {
        bail!("a cluster's name has 1 to 20 small letters, digits and dashes, unlike {name:?}");
    }
    Ok(())
}

fn require_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a local cluster makes network devices and mounts: run this as root (sudo -E)");
    }
    Ok(())
}

fn node_ready(node: &Value, since: &str) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let fresh = |ready: &Value| {
        ready["status"] == "True" && ready["lastHeartbeatTime"].as_str().is_some_and(|time| time >= since)
    };
    ready.is_some_and(fresh) && node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
}

/// Waits until a killed node's file system has let go of its disk.
fn release_disk(disk: &Path) -> Result<()> {
    let disk = disk.display().to_string();
    let devices = || tool(&["losetup", "-n", "-O", "NAME", "-j", &disk]);
    if wait_until(Duration::from_secs(10), || Ok(devices()?.trim().is_empty()))? {
        return Ok(());
    }
    for device in devices()?.split_whitespace() {
        tool(&["losetup", "-d", device])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_that_would_leave_the_folder_are_refused() {
        assert!(check_name("test-2").is_ok());
        for name in ["", "..", "a/b", "Big", "a b", "a-name-that-is-far-too-long"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_node_counts_once_it_reported_after_the_start_with_its_gpu() {
        let node = |status: &str, gpus: &str| {
            json!({"status": {
                "conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": "2026-01-01T10:00:05Z"}],
                "allocatable": {"nvidia.com/gpu": gpus},
            }})
        };
        assert!(node_ready(&node("True", "1"), "2026-01-01T10:00:00Z"));
        assert!(!node_ready(&node("True", "1"), "2026-01-01T10:00:06Z"));
        assert!(!node_ready(&node("True", "0"), ""));
        assert!(!node_ready(&node("Unknown", "1"), ""));
        assert!(!node_ready(&json!({}), ""));
    }
}
