//! How servers are told what to tell about their work.

/// Form of the log lines: `template` or `json`.
pub const ENV_LOG_FORMAT: &str = "TTSFLEET_LOG_FORMAT";
/// Address of a collector that takes OTLP over HTTP. This and the next are
/// OpenTelemetry's own variables.
pub const ENV_OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Share of the requests to trace, 0 to 1, where the caller does not say.
pub const ENV_TRACE_RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
