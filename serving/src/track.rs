//! The layer around every request of a speech port.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use ttsfleet_wire::headers;

use crate::{Failure, Observer, Record, traces};

/// The methods by which requests are told apart. Whatever else a client sends as
/// one would be a name of its own, of which a collector can take only so many.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/// All other methods, as OpenTelemetry's semantic conventions call them.
const OTHER_METHOD: &str = "HTTP";

/// Axum middleware: gives the request a [`Record`] as an extension of type
/// `Arc<Record>`, and the answer its ids.
pub async fn track(State(observer): State<Arc<dyn Observer>>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let record = begin(observer, &request, path.map(MatchedPath::as_str));
    request.extensions_mut().insert(Arc::clone(&record));
    end(next.run(request).await, record).map(Body::new)
}

/// The record of a request to that path, if it is to one of the port's.
pub fn begin<B>(observer: Arc<dyn Observer>, request: &Request<B>, path: Option<&str>) -> Arc<Record> {
    // Not made for every request where nobody reads it.
    let name = if traces::are_exported() { name(request.method(), path) } else { String::new() };
    Arc::new(Record::new(observer, name, request.headers()))
}

/// Gives an answer its ids; the record is kept until it has been sent.
pub fn end<B: HttpBody>(mut response: Response<B>, record: Arc<Record>) -> Response<Tracked<B>> {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(record.request_id()) {
        headers.insert(headers::REQUEST_ID, id);
    }
    headers.insert(headers::TRACE_PARENT, record.trace().header());
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    response.map(|body| {
        if body.is_end_stream() {
            // Nobody asks for what is not there.
            record.complete();
        }
        Tracked { body, record, unsent: declared }
    })
}

/// Method and path; only the method where the path is none of ours.
fn name(method: &Method, path: Option<&str>) -> String {
    let method = method.as_str();
    let method = if METHODS.contains(&method) { method } else { OTHER_METHOD };
    path.map_or_else(|| method.to_owned(), |path| format!("{method} {path}"))
}

/// The answer to a result, noting a failure.
pub fn answer<B: From<Body>>(record: &Record, result: Result<Response<B>, Failure>) -> Response<B> {
    result.unwrap_or_else(|failure| {
        record.fail(&failure);
        failure.response(record.request_id()).map(B::from)
    })
}

/// A body that tells its record when it has been sent.
pub struct Tracked<B> {
    body: B,
    record: Arc<Record>,
    /// Bytes still to come, where the answer declares its length.
    unsent: Option<u64>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Tracked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(unsent)) = (&polled, &mut self.unsent) {
            *unsent = unsent.saturating_sub(frame.data_ref().map_or(0, |bytes| bytes.len() as u64));
        }
        // An answer of known length is not polled again after its last frame, and none
        // is after its trailer.
        let sent = self.body.is_end_stream() || self.unsent == Some(0);
        let is_last = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(None) => true,
            _ => false,
        };
        if sent || is_last {
            self.record.complete();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use axum::{
        Extension, Router, body::to_bytes, http::HeaderMap, middleware::from_fn_with_state, routing::get,
    };
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use tower::ServiceExt;
    use ttsfleet_wire::error::ErrorCode;

    use super::*;
    use crate::{Labels, Outcome, TraceParent};

    #[derive(Default)]
    struct Seen(Mutex<Vec<Outcome>>);

    impl Observer for Seen {
        fn finished(&self, outcome: &Outcome) {
            self.0.lock().unwrap().push(outcome.clone());
        }
    }

    impl Seen {
        fn codes(&self) -> Vec<(&'static str, u16)> {
            self.0.lock().unwrap().iter().map(|outcome| (outcome.code, outcome.status)).collect()
        }
    }

    async fn speak(Extension(record): Extension<Arc<Record>>) -> Response {
        record.set_input_chars(7);
        record.set_pool("main");
        record.set_tier("premium");
        record.set_degraded("backup");
        record.first_audio();
        Response::new(Body::from("audio"))
    }

    async fn speak_by_length() -> Response {
        let stream = stream::iter(["au", "dio"]).map(Ok::<_, axum::Error>).chain(stream::pending());
        let mut response = Response::new(Body::from_stream(stream));
        response.headers_mut().insert(header::CONTENT_LENGTH, 5.into());
        response
    }

    async fn fail(Extension(record): Extension<Arc<Record>>) -> Response {
        let failure = Failure::new(ErrorCode::SystemBusy, "busy").retry_after(3);
        answer(&record, Err(failure))
    }

    async fn break_off(Extension(record): Extension<Arc<Record>>) -> Response {
        record.fail(&Failure::new(ErrorCode::UpstreamFailed, "half-way"));
        Response::new(Body::from("half"))
    }

    async fn endless() -> Response {
        Response::new(Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>()))
    }

    async fn trailed() -> Response {
        let frames = [Frame::data(Bytes::from_static(b"audio")), Frame::trailers(HeaderMap::new())];
        Response::new(Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, axum::Error>)))))
    }

    async fn take() -> Response {
        Response::new(Body::empty())
    }

    async fn call(seen: &Arc<Seen>, path: &str, headers: &[(&str, &str)]) -> Response {
        let observer: Arc<dyn Observer> = Arc::<Seen>::clone(seen);
        let routes = Router::new()
            .route("/speak", get(speak))
            .route("/by-length", get(speak_by_length))
            .route("/fail", get(fail))
            .route("/break", get(break_off))
            .route("/endless", get(endless))
            .route("/trailed", get(trailed))
            .route("/take", get(take))
            .layer(from_fn_with_state(observer, track));
        let mut request = axum::http::Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_is_counted_once_when_its_answer_has_gone() {
        let seen = Arc::default();
        let response = call(&seen, "/speak", &[]).await;
        assert_eq!(seen.codes(), []);
        to_bytes(response.into_body(), 100).await.unwrap();
        let outcomes = seen.0.lock().unwrap();
        let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!((outcome.code, outcome.status, outcome.input_chars), ("OK", 200, Some(7)));
        assert!(outcome.first_audio.unwrap() <= outcome.spent);
        let labels = Labels {
            pool: Some("main".into()),
            tier: Some("premium".into()),
            degraded: Some("backup"),
            ..Labels::default()
        };
        assert_eq!(outcome.labels, labels);
    }

    #[tokio::test]
    async fn an_answer_is_whole_when_its_trailer_has_gone() {
        let seen = Arc::default();
        let mut body = call(&seen, "/trailed", &[]).await.into_body();
        for is_trailer in [false, true] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.is_trailers(), is_trailer);
        }
        drop(body);
        assert_eq!(seen.codes(), [("OK", 200)]);
    }

    #[tokio::test]
    async fn the_first_failure_is_the_outcome_whatever_was_sent() {
        let seen = Arc::default();
        for path in ["/fail", "/break"] {
            to_bytes(call(&seen, path, &[]).await.into_body(), 1000).await.unwrap();
        }
        assert_eq!(seen.codes(), [("SystemBusy", 503), ("UpstreamFailed", 502)]);
    }

    #[tokio::test]
    async fn an_answer_dropped_before_its_end_is_a_client_gone() {
        let seen = Arc::default();
        drop(call(&seen, "/endless", &[]).await);
        assert_eq!(seen.codes(), [("ClientClosed", 499)]);
    }

    #[tokio::test]
    async fn an_answer_of_known_length_is_whole_when_its_last_byte_has_gone() {
        let seen = Arc::default();
        let mut body = call(&seen, "/by-length", &[]).await.into_body().into_data_stream();
        for _ in 0..2 {
            body.next().await.unwrap().unwrap();
        }
        drop(body);
        assert_eq!(seen.codes(), [("OK", 200)]);
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_whole_at_once() {
        let seen = Arc::default();
        drop(call(&seen, "/take", &[]).await);
        assert_eq!(seen.codes(), [("OK", 200)]);
    }

    #[tokio::test]
    async fn ids_are_taken_over_if_sane_and_made_otherwise() {
        let seen = Arc::default();
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let response = call(&seen, "/speak", &[("x-request-id", "mine"), ("traceparent", trace)]).await;
        assert_eq!(response.headers()["x-request-id"], "mine");
        let span = response.headers()["traceparent"].to_str().unwrap();
        assert!(span.starts_with(&trace[..36]) && span.ends_with("-01") && span != trace, "{span}");
        let response = call(&seen, "/speak", &[("x-request-id", "not mine"), ("traceparent", "00-x")]).await;
        assert_eq!(response.headers()["x-request-id"].len(), 32);
        assert!(TraceParent::from_headers(response.headers()).is_some());
    }

    #[test]
    fn a_method_that_a_client_made_up_is_in_no_name() {
        let name_of = |method: &str| name(&method.parse().unwrap(), None);
        assert_eq!(METHODS.map(name_of), METHODS);
        assert_eq!(name_of("BREW"), OTHER_METHOD);
        assert_eq!(name_of("get"), OTHER_METHOD);
    }

    #[tokio::test]
    async fn what_is_held_is_let_go_when_the_answer_has_gone() {
        let observer: Arc<dyn Observer> = Arc::<Seen>::default();
        let record = Arc::new(Record::new(observer, String::new(), &Default::default()));
        let (held, dropped) = mpsc::channel::<()>();
        record.hold(held);
        let body = Tracked { body: Body::from("audio"), record, unsent: None };
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Empty));
        to_bytes(Body::new(body), 100).await.unwrap();
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
