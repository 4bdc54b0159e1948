//! Command line and limits.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ttsfleet_serving::{BodyLimits, Connections, any_address, logging::LogFormat, traces::TraceArgs};
use ttsfleet_wire::{
    observability,
    pod::{self, OnUnspeakable},
};

use crate::{admin::TokenHash, cores::cores};

/// Serves speech over HTTP: with the voice built in, or with a model given.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "ttsfleet-inference", version, about)]
pub struct Args {
    /// Address of the speech API.
    #[arg(long, env = pod::ENV_LISTEN, default_value_t = any_address(pod::SPEECH_PORT))]
    pub listen: SocketAddr,

    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = pod::ENV_HEALTH_LISTEN, default_value_t = any_address(pod::HEALTH_PORT))]
    pub health_listen: SocketAddr,

    /// Address of the admin API, which changes the model served.
    #[arg(long, env = pod::ENV_ADMIN_LISTEN, default_value_t = any_address(pod::ADMIN_PORT))]
    pub admin_listen: SocketAddr,

    /// Hexadecimal sha256 of the admin API's bearer token; without it there is
    /// no admin API.
    #[arg(long, env = pod::ENV_ADMIN_TOKEN_SHA256, hide_env_values = true)]
    pub admin_token_sha256: Option<TokenHash>,

    /// JSON file that says which model to serve, as the operator writes it.
    #[arg(long, env = pod::ENV_MODEL_FILE)]
    pub model_file: Option<PathBuf>,

    /// Model folder on this machine to serve.
    #[arg(long, conflicts_with = "model_file")]
    pub model_dir: Option<PathBuf>,

    /// Folder for fetched models [default: ttsfleet/models in the user's cache folder].
    #[arg(long, env = pod::ENV_STORE)]
    pub store: Option<PathBuf>,

    /// Bytes that it may hold [default: as the disk has room for].
    #[arg(long, env = pod::ENV_STORE_BYTES)]
    pub store_bytes: Option<u64>,

    /// Folder with a folder for each Secret that models are fetched with.
    #[arg(long, env = pod::ENV_SECRETS)]
    pub secrets: Option<PathBuf>,

    /// Folder with a folder for each PersistentVolumeClaim that models come from.
    #[arg(long, env = pod::ENV_CLAIMS)]
    pub claims: Option<PathBuf>,

    /// Texts spoken at the same time, by turns where there are fewer CPUs [default: four for each CPU].
    #[arg(long, env = pod::ENV_WORKERS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,

    /// Requests admitted at once; the next is answered 429.
    #[arg(long, env = pod::ENV_MAX_CONCURRENCY, default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_concurrency: u16,

    /// Requests that may wait for a synthesis thread; one more, and new ones are
    /// refused until half of them wait.
    #[arg(long, env = pod::ENV_MAX_QUEUE_DEPTH, default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(0..=4096))]
    pub max_queue_depth: u16,

    /// Seconds for which they are then refused at most.
    #[arg(long, env = pod::ENV_BUSY_SECONDS, default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub busy_seconds: u16,

    /// Whether audio says that it is synthetic, by whom, by which model and when.
    #[arg(long, env = pod::ENV_MARKING, default_value_t = true, action = clap::ArgAction::Set)]
    pub marking: bool,

    /// Who is named as its producer.
    #[arg(long, env = pod::ENV_PRODUCER, default_value = "ttsfleet")]
    pub producer: String,

    /// What becomes of a text with letters that the voice cannot speak: skip
    /// leaves them out, refuse answers 400.
    #[arg(long, env = pod::ENV_ON_UNSPEAKABLE, default_value = OnUnspeakable::Skip.name())]
    pub on_unspeakable: OnUnspeakable,

    /// Seconds that admitted requests have to finish after SIGTERM.
    #[arg(long, env = pod::ENV_DRAIN_SECONDS, default_value_t = 30)]
    pub drain_seconds: u64,

    /// Where traces go.
    #[command(flatten)]
    pub traces: TraceArgs,

    /// Form of the log lines.
    #[arg(long, env = observability::ENV_LOG_FORMAT, value_enum, default_value_t = LogFormat::Template)]
    pub log_format: LogFormat,

    /// File that gets the reason when the server cannot start; written only if it exists.
    #[arg(long, default_value = pod::TERMINATION_LOG)]
    pub termination_log: PathBuf,
}

/// More than one, so that a short text need not wait for the end of a long one.
const WORKERS_PER_CORE: usize = 4;

/// What the server admits, and how long it is patient.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Synthesis threads: requests under way at once.
    pub workers: usize,
    /// Of those, how many compute at once: one for each core.
    pub cores: usize,
    /// Requests admitted at once.
    pub max_concurrency: u32,
    /// Requests that may wait for a synthesis thread without the server
    /// refusing new ones.
    pub max_queue_depth: usize,
    /// How long it then refuses them at most.
    pub busy: Duration,
    /// How much of a body is read, and for how long.
    pub body: BodyLimits,
    /// Longest text spoken, in Unicode characters.
    pub max_input_chars: usize,
    /// What becomes of a text with letters that the voice cannot speak.
    pub on_unspeakable: OnUnspeakable,
    /// Encoded audio kept for a client that reads slower than we speak, in bytes.
    pub buffered_bytes: usize,
    /// WAV up to this size is sent with its true length, after it is complete.
    pub whole_wav_bytes: usize,
    /// How long after its first audio a WAV may be kept back for that.
    pub whole_wav_wait: Duration,
    /// Bounds on the connections of one port.
    pub connections: Connections,
    /// How long one request may hold a worker.
    pub longest_request: Duration,
    /// How long one piece of its audio may take, before the worker counts as stuck.
    pub longest_piece: Duration,
    /// How long admitted requests have to finish when the server stops.
    pub drain: Duration,
}

impl Limits {
    /// The limits in production.
    pub fn new(args: &Args) -> Self {
        let cores = cores();
        Self {
            workers: args.workers.map_or(cores * WORKERS_PER_CORE, usize::from),
            cores,
            max_concurrency: u32::from(args.max_concurrency),
            max_queue_depth: usize::from(args.max_queue_depth),
            busy: Duration::from_secs(u64::from(args.busy_seconds)),
            body: BodyLimits { max_bytes: 1 << 20, timeout: Duration::from_secs(10) },
            max_input_chars: 4096,
            on_unspeakable: args.on_unspeakable,
            buffered_bytes: 4 << 20,
            whole_wav_bytes: 2 << 20,
            whole_wav_wait: Duration::from_millis(500),
            connections: Connections { write_timeout: Duration::from_secs(15), ..Connections::patient(1024) },
            longest_request: Duration::from_secs(600),
            longest_piece: Duration::from_secs(60),
            drain: Duration::from_secs(args.drain_seconds),
        }
    }
}
