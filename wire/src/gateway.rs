//! The contract between the operator's pod template and the gateway.

/// Port of the speech API.
pub const SPEECH_PORT: u16 = 8080;
/// Port of `/healthz`, `/readyz`, `/metrics` and [`USAGE_PATH`].
pub const HEALTH_PORT: u16 = 8081;
/// Where a fleet's gateways ask each other what their callers have had.
pub const USAGE_PATH: &str = "/usage";

/// Namespace of the fleet.
pub const ENV_NAMESPACE: &str = "TTSFLEET_NAMESPACE";
/// Name of the ConfigMap that holds the [`crate::route::RouteTable`].
pub const ENV_ROUTE: &str = "TTSFLEET_ROUTE";
/// Label selector of the EndpointSlices of the fleet's pools.
pub const ENV_ENDPOINTS: &str = "TTSFLEET_ENDPOINTS";
/// Folder with API keys: a file for each tier, named after it, one key a line, with
/// what is said of it (`docs/SPEECH-API.md`).
pub const ENV_API_KEYS: &str = "TTSFLEET_API_KEYS";
/// Seconds that requests in progress have to finish after SIGTERM.
pub const ENV_DRAIN_SECONDS: &str = "TTSFLEET_DRAIN_SECONDS";
