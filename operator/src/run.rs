//! The operator as a process.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tracing_subscriber::EnvFilter;

use crate::admin::Network;
use crate::args::{Args, LogFormat};
use crate::client;
use crate::controller::{Operator, Scope};
use crate::fleet::build::Settings;
use crate::http::{self, Ready, router};
use crate::key::AdminKey;
use crate::leader::{Candidate, system_clock};
use crate::metrics::Metrics;
use crate::platform;

/// Pause between tries for what is needed first.
const PREPARE_RETRY: Duration = Duration::from_secs(3);

/// Sets logging up. `RUST_LOG` chooses what is logged.
pub fn logging(format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
    .map_err(|error| anyhow::anyhow!("cannot set logging up: {error}"))
}

/// Runs until SIGTERM or SIGINT, or until the Lease is lost.
pub async fn run(args: Args) -> Result<()> {
    // Already set if somebody else in the process was first; as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client::client().await?;
    let metrics = Metrics::default();
    let reached = Ready::default();
    let listener = http::listen(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", args.listen))?;
    let server = axum::serve(listener, router(metrics.clone(), reached.clone()));
    tokio::select! {
        result = server => result.context("the HTTP server ended"),
        result = work(args, client, metrics, reached) => result,
    }
}

async fn work(args: Args, client: Client, metrics: Metrics, reached: Ready) -> Result<()> {
    let identity = args.identity.clone().unwrap_or_else(own_name);
    let stop = stop_signal()?;
    let mut stop = std::pin::pin!(stop);
    if args.no_leader_election {
        reached.set();
        lead(args, client, metrics, identity, stop, std::future::pending()).await;
        return Ok(());
    }
    let candidate =
        Candidate::new(client.clone(), &args.lease_namespace, &args.lease_name, &identity, system_clock());
    tokio::select! {
        () = &mut stop => return Ok(()),
        () = candidate.acquire(|| reached.set()) => {}
    }
    if lead(args, client, metrics, identity, stop, candidate.hold()).await {
        candidate.release().await.context("cannot release the lease")
    } else {
        bail!("lost the lease; ending, so that only its holder writes")
    }
}

/// Works until told to stop (true) or until no longer entitled to (false).
async fn lead(
    args: Args,
    client: Client,
    metrics: Metrics,
    identity: String,
    stop: impl Future<Output = ()>,
    entitled: impl Future<Output = ()>,
) -> bool {
    metrics.leading(true);
    let stopping = Arc::new(Notify::new());
    let notified = Arc::clone(&stopping);
    let (mut entitled, mut stop) = (std::pin::pin!(entitled), std::pin::pin!(stop));
    let (key, assigns_users) = tokio::select! {
        found = prepare(&client, &args) => found,
        () = &mut entitled => return false,
        () = &mut stop => return true,
    };
    let operator = Operator {
        client,
        scope: args.namespace.map_or(Scope::Cluster, Scope::Namespace),
        pods: Arc::new(Network::default()),
        settings: Settings {
            inference_image: args.inference_image,
            gateway_image: args.gateway_image,
            judge_image: args.judge_image,
            pull_policy: args.pull_policy,
            pull_secrets: args.image_pull_secrets,
            assigns_users,
            namespace: args.lease_namespace,
            key,
        },
        clock: system_clock(),
        metrics,
        identity,
    };
    let mut running = std::pin::pin!(operator.run(async move { notified.notified().await }));
    tokio::select! {
        () = &mut running => true,
        () = &mut entitled => false,
        () = &mut stop => {
            tracing::info!("stopping");
            stopping.notify_one();
            running.await;
            true
        }
    }
}

/// The key to the pods' admin API, and whether the cluster gives pods their user,
/// asked for until both are known: without them no template can be made.
async fn prepare(client: &Client, args: &Args) -> (AdminKey, bool) {
    loop {
        match try_prepare(client, args).await {
            Ok(found) => return found,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, namespace = args.lease_namespace, "no pod can be described yet");
            }
        }
        tokio::time::sleep(PREPARE_RETRY).await;
    }
}

async fn try_prepare(client: &Client, args: &Args) -> Result<(AdminKey, bool)> {
    let secret = format!("{}-key", args.lease_name);
    let key = AdminKey::ensure(client, &args.lease_namespace, &secret)
        .await
        .context("there is no key to the pods' admin API")?;
    let assigns_users =
        platform::assigns_users(client).await.context("the cluster does not say what it serves")?;
    Ok((key, assigns_users))
}

fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Unique among processes, as a replica's name has to be.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
