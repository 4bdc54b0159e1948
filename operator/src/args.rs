//! Command line and environment.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Keeps fleets of text-to-speech servers as their TtsDeployments describe.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Image of the speech server that fleets run.
    #[arg(long, env = "TTSFLEET_INFERENCE_IMAGE")]
    pub inference_image: String,

    /// Image of the gateway that fleets run.
    #[arg(long, env = "TTSFLEET_GATEWAY_IMAGE")]
    pub gateway_image: String,

    /// Image of the judge, which listens to new models.
    #[arg(long, env = "TTSFLEET_JUDGE_IMAGE")]
    pub judge_image: String,

    /// When nodes pull these images.
    #[arg(long, env = "TTSFLEET_PULL_POLICY", value_enum, default_value = "IfNotPresent")]
    pub pull_policy: PullPolicy,

    /// Secrets to pull them with, which lie in the fleets' own namespaces; may be
    /// given several times.
    #[arg(long = "image-pull-secret", env = "TTSFLEET_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    pub image_pull_secrets: Vec<String>,

    /// Address of /healthz, /readyz and /metrics; [::] is IPv4 and IPv6, or what
    /// there is of them.
    #[arg(long, env = "TTSFLEET_LISTEN", default_value = "[::]:8081")]
    pub listen: SocketAddr,

    /// Serve only this namespace; all of them if absent.
    #[arg(long, env = "TTSFLEET_NAMESPACE")]
    pub namespace: Option<String>,

    /// Namespace of the operator itself: of the Lease that says which replica
    /// works, and of the Secret with the key to the pods' admin API.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub lease_namespace: String,

    /// Name of that Lease; the Secret is called so with -key at its end.
    #[arg(long, env = "TTSFLEET_LEASE_NAME", default_value = "ttsfleet-operator")]
    pub lease_name: String,

    /// This replica's name in the Lease; the host name and process id if absent.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// Work without a Lease. Only for a single process, such as in a test.
    #[arg(long, env = "TTSFLEET_NO_LEADER_ELECTION")]
    pub no_leader_election: bool,

    /// How log lines look.
    #[arg(long, env = "TTSFLEET_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
