//! A speech port whose spans are exported, and a request to it.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    response::Response,
    routing::post,
};
use tower::ServiceExt;
use ttsfleet_serving::{Failure, Observer, Outcome, Record, answer, speech_port, traces::TraceArgs};
use ttsfleet_wire::error::ErrorCode;

struct Nobody;

impl Observer for Nobody {
    fn finished(&self, _: &Outcome) {}
}

pub(crate) fn args(endpoint: &str) -> TraceArgs {
    TraceArgs { otlp_endpoint: Some(endpoint.parse().unwrap()), trace_ratio: 1.0 }
}

async fn speak(Extension(record): Extension<Arc<Record>>) -> Response {
    record.set_input_chars(7);
    record.set_pool("main");
    answer(&record, Ok(Response::new("audio".into())))
}

async fn fail(Extension(record): Extension<Arc<Record>>) -> Response {
    answer(&record, Err(Failure::new(ErrorCode::SystemBusy, "busy")))
}

/// The status, when the answer has gone.
pub(crate) async fn ask(path: &str, traceparent: Option<&str>) -> StatusCode {
    let routes = Router::new().route("/speak", post(speak)).route("/fail", post(fail));
    let mut request = Request::post(path);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    let routes: Router = speech_port(routes, Arc::new(Nobody));
    let answer = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status();
    to_bytes(answer.into_body(), 1000).await.unwrap();
    status
}
