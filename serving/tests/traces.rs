//! Spans reach a collector, as OpenTelemetry's own types read them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod traced;

use std::collections::BTreeMap;

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use traced::{args, ask};
use ttsfleet_serving::traces;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn plain(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), text(attribute))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_exported_as_spans_of_their_callers_traces_unless_the_caller_says_no() {
    let (seen, mut exports) = unbounded_channel();
    let take = async |State(seen): State<UnboundedSender<Bytes>>, body: Bytes| seen.send(body).unwrap();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", socket.local_addr().unwrap());
    let collector = Router::new().route("/v1/traces", post(take)).with_state(seen);
    tokio::spawn(async { axum::serve(socket, collector).await });

    traces::start("narrator", &args(&endpoint)).unwrap();
    ask("/speak", Some(&format!("00-{TRACE}-{CALLER}-01"))).await;
    ask("/fail", None).await;
    ask("/speak", Some(&format!("00-{TRACE}-{CALLER}-00"))).await;
    traces::finish().await;

    let export = ExportTraceServiceRequest::decode(exports.recv().await.unwrap()).unwrap();
    let of_service = &export.resource_spans[0];
    assert_eq!(plain(&of_service.resource.as_ref().unwrap().attributes)["service.name"], "narrator");
    let spans: Vec<&Span> = of_service.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    let [spoken, failed] = spans[..] else { panic!("{spans:?}") };

    assert_eq!((spoken.name.as_str(), spoken.kind()), ("POST /speak", SpanKind::Server));
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((hex(&spoken.trace_id).as_str(), hex(&spoken.parent_span_id).as_str()), (TRACE, CALLER));
    assert_eq!(spoken.span_id.len(), 8);
    assert_ne!(spoken.span_id, spoken.parent_span_id);
    assert!(spoken.start_time_unix_nano <= spoken.end_time_unix_nano);
    let said = plain(&spoken.attributes);
    assert_eq!((said["http.response.status_code"].as_str(), said["ttsfleet.pool"].as_str()), ("200", "main"));
    assert_eq!(said["ttsfleet.input_chars"], "7");

    assert!(failed.parent_span_id.is_empty() && failed.trace_id != spoken.trace_id, "{failed:?}");
    assert_eq!(failed.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(plain(&failed.attributes)["error.type"], "SystemBusy");
}
