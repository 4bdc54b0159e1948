//! Command line and environment.

use std::{net::SocketAddr, path::PathBuf};

use ttsfleet_serving::{any_address, logging::LogFormat};
use ttsfleet_wire::{judge, observability, pod};

use crate::recogniser::Place;

/// Compares a new voice with the one before.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "ttsfleet-judge", version, about)]
pub struct Args {
    /// File that says what is compared with what.
    #[arg(long, env = judge::ENV_SESSION)]
    pub session: PathBuf,

    /// Address of requests and the report.
    #[arg(long, env = pod::ENV_LISTEN, default_value_t = any_address(judge::PORT))]
    pub listen: SocketAddr,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = pod::ENV_HEALTH_LISTEN, default_value_t = any_address(judge::HEALTH_PORT))]
    pub health_listen: SocketAddr,

    /// Where the recogniser in the image is.
    #[command(flatten)]
    pub pocketsphinx: Place,

    /// Folder with a folder for each PersistentVolumeClaim.
    #[arg(long, env = pod::ENV_CLAIMS, default_value = "/claims")]
    pub claims: PathBuf,

    /// Form of the log lines.
    #[arg(long, env = observability::ENV_LOG_FORMAT, value_enum, default_value_t = LogFormat::Template)]
    pub log_format: LogFormat,
}
