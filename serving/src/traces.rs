//! Spans of requests, exported to an OpenTelemetry collector where one is named.
//! Without one, trace context is passed on and logged, and that is all.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::http::{Uri, uri::Scheme};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{HttpClient, HttpError, Request, Response, ResponseExt};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanProcessor},
};
use tokio::runtime::Handle;
use ttsfleet_wire::observability::{ENV_OTLP_ENDPOINT, ENV_TRACE_RATIO};

use crate::{Outcome, TraceParent};

/// Time for a collector to take one batch, and all that is left at the end.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer of a collector that is read.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// Where traces go, and how many.
#[derive(Debug, Clone, clap::Args)]
pub struct TraceArgs {
    /// Address of a collector that takes OpenTelemetry's OTLP over plain HTTP,
    /// as in http://collector:4318; without it no traces are exported.
    #[arg(long, env = ENV_OTLP_ENDPOINT, value_parser = endpoint)]
    pub otlp_endpoint: Option<Uri>,

    /// Share of the requests to trace, 0 to 1, where the caller does not say.
    #[arg(long, env = ENV_TRACE_RATIO, default_value_t = 1.0, value_parser = ratio)]
    pub trace_ratio: f64,
}

fn endpoint(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let plain = uri.scheme() == Some(&Scheme::HTTP) && uri.authority().is_some();
    plain.then_some(uri).ok_or_else(|| "write it as http://host:port".to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|error| format!("{error}"))?;
    (0.0..=1.0).contains(&ratio).then_some(ratio).ok_or_else(|| "it must be from 0 to 1".to_owned())
}

struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    ratio: f64,
}

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Starts the export of spans under this service's name, if a collector is
/// named. Only the first call in a process counts. Needs a tokio runtime.
///
/// # Errors
/// When the exporter cannot be made, in words.
pub fn start(service: &'static str, args: &TraceArgs) -> Result<(), String> {
    let Some(endpoint) = &args.otlp_endpoint else { return Ok(()) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(Handle::current()))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/')))
        .build();
    let exporter = exporter.map_err(|error| format!("cannot export traces: {error}"))?;
    let mut processor = BatchSpanProcessor::builder(exporter).build();
    processor.set_resource(&Resource::builder().with_service_name(service).build());
    let scope = InstrumentationScope::builder("ttsfleet").with_version(env!("CARGO_PKG_VERSION")).build();
    _ = TRACES.set(Traces { processor, scope, ratio: args.trace_ratio });
    tracing::info!(%endpoint, "exporting traces");
    Ok(())
}

/// Exports what is left, for as long as one batch may take.
pub async fn finish() {
    if let Some(traces) = TRACES.get() {
        let shut_down = || _ = traces.processor.shutdown_with_timeout(TIMEOUT);
        _ = tokio::task::spawn_blocking(shut_down).await;
    }
}

/// Whether spans are exported at all.
pub(crate) fn are_exported() -> bool {
    TRACES.get().is_some()
}

/// Whether a request whose caller does not say is to be traced.
pub(crate) fn sample() -> bool {
    TRACES.get().is_some_and(|traces| rand::random_bool(traces.ratio))
}

/// One request, when it is over.
pub(crate) struct Span<'a> {
    pub(crate) name: &'a str,
    pub(crate) trace: &'a TraceParent,
    /// The caller's span, if it has one.
    pub(crate) parent: Option<&'a TraceParent>,
    pub(crate) request_id: &'a str,
    pub(crate) outcome: &'a Outcome,
}

/// Hands a span to the exporter, if there is one and the request is traced.
/// Never waits: where the collector is too slow, spans are dropped.
pub(crate) fn export(span: &Span<'_>) {
    if let Some(traces) = TRACES.get().filter(|_| span.trace.is_sampled()) {
        traces.processor.on_end(data(span, &traces.scope, SystemTime::now()));
    }
}

fn data(span: &Span<'_>, scope: &InstrumentationScope, end_time: SystemTime) -> SpanData {
    let Span { name, trace, parent, outcome, .. } = span;
    let id = |trace: &TraceParent| SpanId::from_hex(trace.span_id()).unwrap_or(SpanId::INVALID);
    let trace_id = TraceId::from_hex(trace.trace_id()).unwrap_or(TraceId::INVALID);
    SpanData {
        span_context: SpanContext::new(
            trace_id,
            id(trace),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, id),
        parent_span_is_remote: parent.is_some(),
        span_kind: SpanKind::Server,
        name: (*name).to_owned().into(),
        start_time: end_time.checked_sub(outcome.spent).unwrap_or(end_time),
        end_time,
        attributes: attributes(span),
        dropped_attributes_count: 0,
        events: Default::default(),
        links: Default::default(),
        // By the semantic conventions, what the caller did wrong is no error here.
        status: if outcome.status >= 500 { Status::error(outcome.code) } else { Status::Unset },
        instrumentation_scope: scope.clone(),
    }
}

/// None of it is the user's text.
fn attributes(span: &Span<'_>) -> Vec<KeyValue> {
    let Outcome { code, status, first_audio, input_chars, labels, .. } = span.outcome;
    let text = |key: &'static str, value: Option<&str>| Some(KeyValue::new(key, value?.to_owned()));
    let number = |key, value: Option<i64>| Some(KeyValue::new(key, value?));
    let whole = |value: usize| i64::try_from(value).ok();
    [
        number("http.response.status_code", Some(i64::from(*status))),
        text("error.type", (*code != "OK").then_some(*code)),
        text("ttsfleet.request_id", Some(span.request_id)),
        number("ttsfleet.input_chars", input_chars.and_then(whole)),
        number("ttsfleet.first_audio_ms", first_audio.and_then(|time| i64::try_from(time.as_millis()).ok())),
        text("ttsfleet.pool", labels.pool.as_deref()),
        text("ttsfleet.tier", labels.tier.as_deref()),
        text("ttsfleet.degraded", labels.degraded),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The way to the collector. The SDK exports on a thread of its own, where
/// there is no runtime.
#[derive(Debug)]
struct Collector {
    runtime: Handle,
    http: Client<HttpConnector, Full<Bytes>>,
    failing: AtomicBool,
}

impl Collector {
    fn new(runtime: Handle) -> Self {
        let http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build_http();
        Self { runtime, http, failing: AtomicBool::new(false) }
    }

    /// Says so when it begins to fail, and when it no longer does.
    fn note(&self, error: Option<&HttpError>) {
        let failed = self.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !failed => {
                tracing::warn!(%error, "the collector takes no traces; they are dropped")
            }
            None if failed => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.http.request(request.map(Full::new));
        let answered = async {
            let (head, body) = sent.await?.into_parts();
            let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await?;
            Response::from_parts(head, body.to_bytes()).error_for_status()
        };
        let in_time = async { tokio::time::timeout(TIMEOUT, answered).await? };
        let answer = self.runtime.spawn(in_time).await.unwrap_or_else(|error| Err(error.into()));
        self.note(answer.as_ref().err());
        answer
    }
}
