//! etcd, the API server and its controllers: how each is started, and an API
//! server alone on the loopback address for tests that need no nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{read, run, run_with_input, tail, write};
use crate::pki::{Authority, Subject, key_pair};
use crate::process::{Recorded, detached, wait_until};
use crate::progress::Progress;
use crate::tools::{self, Tools};

/// What the programs of one control plane agree on.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Everything it writes lies here.
    pub(crate) folder: PathBuf,
    pub(crate) tools: Tools,
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
    /// The range of Service addresses, and the API server's own in it.
    pub(crate) services: (String, Ipv4Addr),
    /// Without controllers nobody makes service accounts, so none is asked for.
    pub(crate) controllers: bool,
}

impl Settings {
    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.join("pki")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub(crate) fn log(&self, program: &str) -> PathBuf {
        self.folder.join(format!("{program}.log"))
    }

    /// Makes keys, certificates and the administrator's kubeconfig.
    pub(crate) fn prepare(&self) -> Result<Authority> {
        let authority = Authority::open(&self.certificates())?;
        let names =
            ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"].map(str::to_owned);
        let full = "kubernetes.default.svc.cluster.local".to_owned();
        let addresses =
            [self.address, self.services.1, Ipv4Addr::LOCALHOST].map(|address| address.to_string());
        let serves: Vec<String> = names.into_iter().chain([full]).chain(addresses).collect();
        authority.certify("api", &Subject { user: "kube-apiserver", group: "ttsfleet", serves: &serves })?;
        for (name, user, group) in [
            ("admin", "admin", "system:masters"),
            ("kube-controller-manager", "system:kube-controller-manager", "ttsfleet"),
            ("kube-scheduler", "system:kube-scheduler", "ttsfleet"),
        ] {
            authority.certify(name, &Subject { user, group, serves: &[] })?;
            let server = format!("https://{}:{}", self.address, self.port);
            let file = if name == "admin" { self.kubeconfig() } else { self.component_kubeconfig(name) };
            write(&file, authority.kubeconfig(name, &server)?)?;
        }
        key_pair(&self.certificates(), "service-accounts")?;
        Ok(authority)
    }

    fn component_kubeconfig(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.kubeconfig"))
    }

    fn etcd_socket(&self) -> String {
        format!("unix://{}", self.folder.join("etcd.sock").display())
    }

    pub(crate) fn arguments(&self, program: &str) -> Result<Vec<String>> {
        match program {
            "etcd" => self.etcd(),
            "kube-apiserver" => Ok(self.api_server()),
            "kube-controller-manager" => Ok(self.controller_manager()),
            "kube-scheduler" => Ok(vec![
                format!("--kubeconfig={}", self.component_kubeconfig(program).display()),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
            ]),
            other => bail!("{other} is no program of the control plane"),
        }
    }

    fn etcd(&self) -> Result<Vec<String>> {
        let (clients, peers) = (self.etcd_socket(), self.etcd_socket().replace("etcd.sock", "peer.sock"));
        if peers.len() > 100 {
            bail!("the cache folder's path is too long for a socket: {}", self.folder.display());
        }
        for socket in ["etcd.sock", "peer.sock"] {
            // Left over from a killed run.
            let _ = std::fs::remove_file(self.folder.join(socket));
        }
        Ok(vec![
            format!("--data-dir={}", self.folder.join("etcd").display()),
            format!("--listen-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            // Only advertised, to nobody: it listens on the sockets alone.
            "--advertise-client-urls=http://localhost:2379".to_owned(),
            // A killed process loses nothing by this; only a crash of the machine does.
            "--unsafe-no-fsync".to_owned(),
            "--auto-compaction-retention=10m".to_owned(),
            "--quota-backend-bytes=4294967296".to_owned(),
            "--log-level=warn".to_owned(),
        ])
    }

    fn api_server(&self) -> Vec<String> {
        let certificate = |file: &str| self.certificates().join(file).display().to_string();
        let mut arguments = vec![
            format!("--bind-address={}", self.address),
            format!("--advertise-address={}", self.address),
            format!("--secure-port={}", self.port),
            format!("--etcd-servers={}", self.etcd_socket()),
            format!("--service-cluster-ip-range={}", self.services.0),
            format!("--cert-dir={}", certificate("")),
            format!("--tls-cert-file={}", certificate("api.crt")),
            format!("--tls-private-key-file={}", certificate("api.key")),
            format!("--client-ca-file={}", certificate("ca.crt")),
            format!("--kubelet-certificate-authority={}", certificate("ca.crt")),
            format!("--kubelet-client-certificate={}", certificate("admin.crt")),
            format!("--kubelet-client-key={}", certificate("admin.key")),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--service-account-key-file={}", certificate("service-accounts.pub")),
            format!("--service-account-signing-key-file={}", certificate("service-accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--anonymous-auth=false".to_owned(),
            "--allow-privileged=true".to_owned(),
            // Webhooks in pods are reached without a kube-proxy beside us.
            "--enable-aggregator-routing=true".to_owned(),
        ];
        if !self.controllers {
            arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
        }
        arguments
    }

    fn controller_manager(&self) -> Vec<String> {
        let certificate = |file: &str| self.certificates().join(file).display().to_string();
        vec![
            format!("--kubeconfig={}", self.component_kubeconfig("kube-controller-manager").display()),
            format!("--root-ca-file={}", certificate("ca.crt")),
            format!("--service-account-private-key-file={}", certificate("service-accounts.key")),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // Dozens of controllers start at once; the default rate holds them up.
            "--kube-api-qps=300".to_owned(),
            "--kube-api-burst=600".to_owned(),
            "--node-monitor-period=1s".to_owned(),
        ]
    }

    /// Waits until the API server says that it is ready.
    pub(crate) fn wait_ready(&self, alive: impl Fn() -> bool) -> Result<()> {
        let address = SocketAddr::from((self.address, self.port));
        let ready = wait_until(Duration::from_secs(60), || {
            if !alive() {
                bail!("the API server ended: {}", tail(&self.log("kube-apiserver"), 5));
            }
            let open = TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok();
            Ok(open && self.kubectl(&["get", "--raw", "/readyz"]).is_ok_and(|answer| answer == "ok"))
        })?;
        if !ready {
            bail!("the API server is not ready after 60 s: {}", tail(&self.log("kube-apiserver"), 5));
        }
        Ok(())
    }

    /// A client program set up for this control plane, leaving nothing in the
    /// user's own folders.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.tools.path(program));
        command.env("KUBECONFIG", self.kubeconfig());
        for (variable, folder) in CLIENT_FOLDERS {
            command.env(variable, self.folder.join("clients").join(folder));
        }
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run(self.client("kubectl").args(arguments))
    }

    pub(crate) fn apply(&self, manifest: &str) -> Result<String> {
        let mut command = self.client("kubectl");
        command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        run_with_input(&mut command, manifest.as_bytes())
    }
}

const CLIENT_FOLDERS: [(&str, &str); 4] = [
    ("KUBECACHEDIR", "kubectl"),
    ("HELM_CACHE_HOME", "helm-cache"),
    ("HELM_CONFIG_HOME", "helm-config"),
    ("HELM_DATA_HOME", "helm-data"),
];

/// How much of a control plane to start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Also run the controller manager: Deployments make pods, namespaces end,
    /// deleted owners take their children along.
    pub controllers: bool,
}

/// A real API server with etcd and without nodes, on the loopback address and a
/// free port. It ends with this value.
#[derive(Debug)]
pub struct ControlPlane {
    settings: Settings,
    children: Vec<(&'static str, Child)>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl ControlPlane {
    /// Starts one; needs no root, and several may run at once.
    pub fn start(options: Options, progress: &dyn Progress) -> Result<Self> {
        let tools = tools::ensure_control_plane(progress)?;
        let all = tools::cache_dir()?.join("control-planes");
        clear_abandoned(&all)?;
        let own = Recorded::of(std::process::id())?;
        let folder = all.join(format!("{}-{}", own.pid, COUNT.fetch_add(1, Ordering::Relaxed)));
        write(&folder.join("processes.json"), serde_json::to_vec(&[own])?)?;
        let settings = Settings {
            folder,
            tools,
            address: Ipv4Addr::LOCALHOST,
            port: free_port()?,
            services: ("10.96.0.0/16".to_owned(), Ipv4Addr::new(10, 96, 0, 1)),
            controllers: options.controllers,
        };
        settings.prepare()?;
        let mut plane = ControlPlane { settings, children: Vec::new() };
        plane.spawn("etcd")?;
        plane.spawn("kube-apiserver")?;
        plane.wait_ready()?;
        if options.controllers {
            plane.spawn("kube-controller-manager")?;
        }
        Ok(plane)
    }

    fn spawn(&mut self, program: &'static str) -> Result<()> {
        let file = self.settings.tools.path(program).display().to_string();
        let child = detached(&file, &self.settings.arguments(program)?, &self.settings.log(program))?;
        self.children.push((program, child));
        let own = std::iter::once(std::process::id());
        let all = own.chain(self.children.iter().map(|(_, child)| child.id()));
        let recorded: Vec<Recorded> = all.filter_map(|pid| Recorded::of(pid).ok()).collect();
        write(&self.settings.folder.join("processes.json"), serde_json::to_vec(&recorded)?)
    }

    fn wait_ready(&self) -> Result<()> {
        let server = self.pid("kube-apiserver").context("no API server")?;
        let server = Recorded::of(server)?;
        self.settings.wait_ready(|| server.alive())
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.settings.kubeconfig()
    }

    /// Runs kubectl against it and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.settings.kubectl(arguments)
    }

    /// Applies manifests from a string.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.settings.apply(manifest)
    }

    /// Process id of `etcd`, `kube-apiserver` or `kube-controller-manager`.
    pub fn pid(&self, program: &str) -> Option<u32> {
        self.children.iter().find(|(name, _)| *name == program).map(|(_, child)| child.id())
    }

    /// Kills the API server, starts it again and waits until it is ready.
    pub fn restart_api_server(&mut self) -> Result<()> {
        let place =
            self.children.iter().position(|(name, _)| *name == "kube-apiserver").context("no API server")?;
        let (_, mut server) = self.children.remove(place);
        server.kill()?;
        server.wait()?;
        self.spawn("kube-apiserver")?;
        self.wait_ready()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The API server first: it waits long for an etcd that is gone.
        for (_, child) in self.children.iter_mut().rev() {
            // Ended already is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
        // Only a cache; the next start clears what stays.
        let _ = std::fs::remove_dir_all(&self.settings.folder);
    }
}

/// Removes control planes whose owner was killed before it could.
fn clear_abandoned(all: &Path) -> Result<()> {
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let Ok(list) = read(&entry.path().join("processes.json")) else { continue };
        let processes: Vec<Recorded> = serde_json::from_str(&list).unwrap_or_default();
        if processes.first().is_some_and(Recorded::alive) {
            continue;
        }
        for process in &processes {
            process.kill()?;
        }
        // Another run may be clearing the same.
        let _ = std::fs::remove_dir_all(entry.path());
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
