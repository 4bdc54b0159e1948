//! A node: a machine of its own as far as Kubernetes can tell, made of network
//! and mount namespaces, a disk in a file, containerd, kubelet and kube-proxy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::cgroup::Cgroup;
use crate::command::{run, tail, tool, write};
use crate::image::Image;
use crate::network::{self, Plan};
use crate::pki::{Authority, Subject};
use crate::process::{Recorded, start_detached, wait_until};
use crate::tools::Tools;

const DISK: &str = "10G";
const SETUP: &str = include_str!("node.sh");

/// Everything that does not change while the node exists.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) number: u8,
    pub(crate) plan: Plan,
    /// The node's own folder.
    pub(crate) folder: PathBuf,
    pub(crate) certificates: PathBuf,
    pub(crate) cache: &'a Path,
    pub(crate) tools: &'a Tools,
    pub(crate) group: Cgroup,
}

impl Node<'_> {
    pub(crate) fn name(&self) -> String {
        name(self.number)
    }

    /// Makes the namespaces and the disk; the process that holds them.
    pub(crate) fn open(&self) -> Result<Recorded> {
        self.group.create()?;
        let daemons = self.group.child("daemons");
        daemons.create()?;
        self.make_disk()?;
        let script = self.folder.join("node.sh");
        write(&script, SETUP)?;
        let log = self.folder.join("setup.log");
        // A line of an earlier start must not be read as this one's.
        let _ = std::fs::remove_file(&log);
        let arguments = ["--net", "--mount", "--propagation", "private", "sh"].map(str::to_owned).into_iter();
        let files = [script, daemons.procs_file(), self.folder.clone(), self.cache.to_owned()];
        let files = files.iter().map(|path| path.display().to_string());
        let arguments: Vec<String> = arguments.chain(files).collect();
        let keeper = start_detached("unshare", &arguments, &log)?;
        let ready = format!("/proc/{}/root/run/ready", keeper.pid);
        let made = wait_until(Duration::from_secs(10), || {
            if !keeper.alive() {
                bail!("cannot set up {}: {}", self.name(), tail(&log, 5));
            }
            Ok(Path::new(&ready).exists())
        })?;
        if !made {
            bail!("{} is not set up after 10 s: {}", self.name(), tail(&log, 5));
        }
        network::connect_node(self.plan, self.number, keeper.pid)?;
        Ok(keeper)
    }

    fn make_disk(&self) -> Result<()> {
        let image = self.folder.join("disk.img");
        if image.exists() {
            return Ok(());
        }
        let image = image.display().to_string();
        let unfinished = format!("{image}.unfinished");
        std::fs::create_dir_all(&self.folder)?;
        tool(&["truncate", "-s", DISK, &unfinished])?;
        // Sparse and without a journal: its content is worth nothing after a crash.
        tool(&[
            "mkfs.ext4",
            "-q",
            "-O",
            "^has_journal",
            "-E",
            "lazy_itable_init=1,nodiscard",
            "-m",
            "0",
            &unfinished,
        ])?;
        std::fs::rename(unfinished, image).context("cannot put the node's disk in place")
    }

    /// A program in the node's namespaces and control group.
    pub(crate) fn start(&self, keeper: Recorded, program: &str, arguments: &[String]) -> Result<Recorded> {
        let file = self.tools.path(program);
        let file = if file.exists() { file.display().to_string() } else { program.to_owned() };
        let log = self.folder.join(format!("{program}.log"));
        let enter = "echo $$ > \"$0\"; pid=$1; shift; exec nsenter -t \"$pid\" -n -m -- \"$@\"";
        let group = self.group.child("daemons").procs_file().display().to_string();
        let mut line = vec!["-c".to_owned(), enter.to_owned(), group, keeper.pid.to_string(), file];
        line.extend_from_slice(arguments);
        start_detached("sh", &line, &log)
    }

    /// Runs a program in the node to its end.
    pub(crate) fn run(&self, keeper: Recorded, line: &[&str]) -> Result<String> {
        run(Command::new("nsenter").args(["-t", &keeper.pid.to_string(), "-n", "-m", "--"]).args(line))
    }

    pub(crate) fn containerd_arguments(&self, pause: &Image) -> Result<Vec<String>> {
        let networks = self.folder.join("cni");
        write(&networks.join("10-ttsfleet.conflist"), self.network_config())?;
        let config = self.folder.join("containerd.toml");
        write(&config, containerd_config(&pause.reference, &networks))?;
        Ok(vec!["--config".to_owned(), config.display().to_string()])
    }

    fn network_config(&self) -> String {
        json!({
            "cniVersion": "1.0.0",
            "name": "ttsfleet",
            "plugins": [{
                "type": "bridge",
                "bridge": "pods",
                "isGateway": true,
                // A pod may reach itself through its own Service.
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": self.plan.pods(self.number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
        .to_string()
    }

    pub(crate) fn kubelet_arguments(&self, authority: &Authority) -> Result<Vec<String>> {
        let user = format!("system:node:{}", self.name());
        let address = self.plan.node(self.number).to_string();
        let serves = [address.clone(), self.name()];
        authority.certify(&self.name(), &Subject { user: &user, group: "system:nodes", serves: &serves })?;
        let kubeconfig = self.folder.join("kubelet.kubeconfig");
        write(&kubeconfig, authority.kubeconfig(&self.name(), &self.server())?)?;
        let resolver = self.folder.join("resolv.conf");
        write(&resolver, "")?;
        let config = self.folder.join("kubelet.json");
        write(&config, self.kubelet_config(&resolver).to_string())?;
        Ok(vec![
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--hostname-override={}", self.name()),
            format!("--node-ip={address}"),
            format!("--node-labels={}", labels().join(",")),
        ])
    }

    fn server(&self) -> String {
        format!("https://{}:6443", self.plan.host())
    }

    fn kubelet_config(&self, resolver: &Path) -> serde_json::Value {
        let certificate = |kind: &str| self.certificates.join(format!("{}.{kind}", self.name()));
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.plan.node(self.number),
            "tlsCertFile": certificate("crt"),
            "tlsPrivateKeyFile": certificate("key"),
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.certificates.join("ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.group.absolute(),
            "failSwapOn": false,
            // Needs a capability that some machines withhold even from root.
            "oomScoreAdj": 0,
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "clusterDNS": [self.plan.dns()],
            "clusterDomain": "cluster.local",
            "resolvConf": resolver,
            "localStorageCapacityIsolation": true,
            // Images are imported, not pulled: a collected one never came back.
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": false,
            "registerNode": true,
            "maxPods": 110,
            "healthzPort": 10248,
            "logging": {"verbosity": 1},
        })
    }

    pub(crate) fn proxy_arguments(&self, authority: &Authority) -> Result<Vec<String>> {
        authority
            .certify("kube-proxy", &Subject { user: "system:kube-proxy", group: "ttsfleet", serves: &[] })?;
        let kubeconfig = self.folder.join("kube-proxy.kubeconfig");
        write(&kubeconfig, authority.kubeconfig("kube-proxy", &self.server())?)?;
        let mut arguments: Vec<String> = [
            "--proxy-mode=nftables",
            // These settings belong to the machine and cannot be changed here.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
            "--oom-score-adj=0",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
        arguments.push(format!("--hostname-override={}", self.name()));
        arguments.push(format!("--cluster-cidr={}", self.plan.all_pods()));
        Ok(arguments)
    }

    /// Puts an image into the node's store unless it is there.
    pub(crate) fn import(&self, keeper: Recorded, image: &Image) -> Result<()> {
        let known = self.run(keeper, &["ctr", "-n", "k8s.io", "images", "ls", "-q"])?;
        if known.lines().any(|name| name == image.reference) {
            return Ok(());
        }
        let tar = image.tar.display().to_string();
        self.run(keeper, &["ctr", "-n", "k8s.io", "images", "import", &tar])
            .with_context(|| format!("cannot import {} into {}", image.reference, self.name()))?;
        Ok(())
    }
}

pub(crate) fn name(number: u8) -> String {
    format!("node-{number}")
}

/// What NVIDIA's feature discovery writes for one L4 that is shared by nobody.
fn labels() -> [&'static str; 7] {
    [
        "nvidia.com/gpu.present=true",
        "nvidia.com/gpu.product=NVIDIA-L4",
        "nvidia.com/gpu.count=1",
        "nvidia.com/gpu.memory=23034",
        "nvidia.com/gpu.replicas=1",
        "nvidia.com/gpu.sharing-strategy=none",
        "nvidia.com/mps.capable=false",
    ]
}

fn containerd_config(pause: &str, networks: &Path) -> String {
    // Paths of our own making: no quote or backslash is in them.
    format!(
        r#"version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # runc may not lower the score where root lacks CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"#,
        networks.display()
    )
}
