//! Command line and environment.

use std::{net::SocketAddr, path::PathBuf};

use ttsfleet_serving::{any_address, logging::LogFormat, traces::TraceArgs};
use ttsfleet_wire::{gateway, observability};

/// The front door of one fleet of speech servers.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "ttsfleet-gateway", version, about)]
pub struct Args {
    /// Address of the speech API.
    #[arg(long, default_value_t = any_address(gateway::SPEECH_PORT))]
    pub listen: SocketAddr,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, default_value_t = any_address(gateway::HEALTH_PORT))]
    pub health_listen: SocketAddr,

    /// Namespace of the fleet.
    #[arg(long, env = gateway::ENV_NAMESPACE)]
    pub namespace: String,

    /// Name of the ConfigMap with the route table.
    #[arg(long, env = gateway::ENV_ROUTE)]
    pub route: String,

    /// Label selector of the EndpointSlices of the fleet's pools.
    #[arg(long, env = gateway::ENV_ENDPOINTS)]
    pub endpoints: String,

    /// Folder with API keys: a file for each tier, one key a line, with what is said of it.
    #[arg(long, env = gateway::ENV_API_KEYS)]
    pub api_keys: Option<PathBuf>,

    /// Requests in progress at once; the next is answered 429.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub max_concurrency: u32,

    /// Seconds that requests in progress have to finish after SIGTERM.
    #[arg(long, env = gateway::ENV_DRAIN_SECONDS, default_value_t = 30)]
    pub drain_seconds: u64,

    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceArgs,

    /// Form of the log lines.
    #[arg(long, env = observability::ENV_LOG_FORMAT, value_enum, default_value_t = LogFormat::Template)]
    pub log_format: LogFormat,
}
