//! The contract between the operator's pod template and the speech server.

/// Port of the speech API.
pub const SPEECH_PORT: u16 = 8080;
/// Port of `/healthz`, `/readyz` and `/metrics`.
pub const HEALTH_PORT: u16 = 8081;
/// Port of the admin API ([`crate::admin`]).
pub const ADMIN_PORT: u16 = 8082;

/// Path of the file with the pool's [`crate::model::ModelRecord`].
pub const ENV_MODEL_FILE: &str = "TTSFLEET_MODEL_FILE";
/// Folder for fetched models.
pub const ENV_STORE: &str = "TTSFLEET_STORE";
/// Bytes that the folder may come to hold; a pod whose volume holds more than it
/// may is evicted.
pub const ENV_STORE_BYTES: &str = "TTSFLEET_STORE_BYTES";
/// Number of synthesis threads.
pub const ENV_WORKERS: &str = "TTSFLEET_WORKERS";
/// Requests admitted at once.
pub const ENV_MAX_CONCURRENCY: &str = "TTSFLEET_MAX_CONCURRENCY";
/// Requests that may wait for a synthesis thread before the pod refuses all
/// new ones for a while.
pub const ENV_MAX_QUEUE_DEPTH: &str = "TTSFLEET_MAX_QUEUE_DEPTH";
/// Seconds for which it then refuses them.
pub const ENV_BUSY_SECONDS: &str = "TTSFLEET_BUSY_SECONDS";
/// Seconds that admitted requests have to finish after SIGTERM.
pub const ENV_DRAIN_SECONDS: &str = "TTSFLEET_DRAIN_SECONDS";
/// Whether audio says that it is synthetic: `true` or `false`.
pub const ENV_MARKING: &str = "TTSFLEET_MARKING";
/// Who audio names as its producer.
pub const ENV_PRODUCER: &str = "TTSFLEET_PRODUCER";
/// What becomes of a text with letters that the voice cannot speak
/// ([`OnUnspeakable`]).
pub const ENV_ON_UNSPEAKABLE: &str = "TTSFLEET_ON_UNSPEAKABLE";
/// Address of the speech API, instead of all addresses at [`SPEECH_PORT`].
pub const ENV_LISTEN: &str = "TTSFLEET_LISTEN";
/// Address of health and metrics, instead of all addresses at [`HEALTH_PORT`].
pub const ENV_HEALTH_LISTEN: &str = "TTSFLEET_HEALTH_LISTEN";
/// Address of the admin API, instead of all addresses at [`ADMIN_PORT`].
pub const ENV_ADMIN_LISTEN: &str = "TTSFLEET_ADMIN_LISTEN";
/// Hexadecimal sha256 of the admin API's bearer token; without one there is no
/// admin API. The token itself stays with the operator.
pub const ENV_ADMIN_TOKEN_SHA256: &str = "TTSFLEET_ADMIN_TOKEN_SHA256";
/// Folder with a folder for each Secret that models are fetched with.
pub const ENV_SECRETS: &str = "TTSFLEET_SECRETS";
/// Folder with a folder for each PersistentVolumeClaim that models come from.
pub const ENV_CLAIMS: &str = "TTSFLEET_CLAIMS";

/// What becomes of a text with letters that the voice cannot speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnUnspeakable {
    /// They are left out, and the answer says how many.
    #[default]
    Skip,
    /// The text is refused.
    Refuse,
}

impl OnUnspeakable {
    /// The name, as in [`ENV_ON_UNSPEAKABLE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Refuse => "refuse",
        }
    }
}

impl std::str::FromStr for OnUnspeakable {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Skip, Self::Refuse]
            .into_iter()
            .find(|value| value.name() == name)
            .ok_or_else(|| "it can be skip or refuse".to_owned())
    }
}

/// Where a container leaves its last words for Kubernetes to show.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
