//! A gateway on a loopback port before pods that do as the test says.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::any,
};
use futures::{Stream, StreamExt, stream};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};
use ttsfleet_gateway::{endpoint::Endpoint, front, gateway::Gateway, route::Route};
use ttsfleet_serving::{Connections, Listener, serve};
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    route::{
        ApiRules, OnExhausted, OnOverflow, PoolRoute, Quota, Retries, RouteTable, SlowCallBreaker,
        TextLimits, TierFrom, TierRoute, Timeouts,
    },
};

/// A route table with the pools main and backup, and short times.
pub(crate) fn table() -> RouteTable {
    let pool = |name: &str| PoolRoute { name: name.to_owned(), service: format!("narrator-{name}") };
    RouteTable {
        fleet: "narrator".to_owned(),
        pools: vec![pool("main"), pool("backup")],
        tiers: vec![TierRoute {
            name: "standard".to_owned(),
            pools: vec!["main".to_owned(), "backup".to_owned()],
            weight: 1,
            on_exhausted: None,
            quota: Quota::default(),
        }],
        default_tier: "standard".to_owned(),
        tier_from: TierFrom::Nothing,
        api: ApiRules::default(),
        limits: TextLimits { max_input_chars: 600, on_overflow: OnOverflow::Truncate, hard_limit: 4096 },
        timeouts: Timeouts { attempt_ms: 300, total_ms: 2000, idle_ms: 300 },
        retries: Retries { attempts: 3, initial_backoff_ms: 10, max_backoff_ms: 20, budget_percent: 20 },
        breaker: SlowCallBreaker { threshold_ms: 200, ratio_percent: 50, recovery_ms: 5000 },
        on_exhausted: OnExhausted::EmptyAudio,
        lexicon: [("kubectl".to_owned(), "cube control".to_owned())].into(),
        mirrors: vec![],
    }
}

/// The same with times that no pod takes, however busy the machine.
pub(crate) fn patient() -> RouteTable {
    let timeouts = Timeouts { attempt_ms: 20_000, total_ms: 60_000, idle_ms: 20_000 };
    let breaker = SlowCallBreaker { threshold_ms: 15_000, ..table().breaker };
    RouteTable { timeouts, breaker, ..table() }
}

/// A gateway under test.
pub(crate) struct Front {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) url: String,
    _stop: watch::Sender<bool>,
}

impl Front {
    /// A gateway with that table and no pods yet.
    pub(crate) async fn start(table: RouteTable) -> Self {
        Self::with_places(64, table).await
    }

    /// The same with so many places for requests.
    pub(crate) async fn with_places(places: u32, table: RouteTable) -> Self {
        let gateway = Arc::new(Gateway::new(places));
        gateway.set_route(Route::new(table).unwrap());
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let url = format!("http://{}", listener.address());
        let patience = Duration::from_secs(30);
        let connections = Connections::patient(128);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(listener, front::routes(Arc::clone(&gateway)), connections, stopped, patience));
        Self { gateway, url, _stop: stop }
    }

    /// Gives a pool its pods.
    pub(crate) fn pods(&self, pool: &str, addresses: &[SocketAddr]) {
        self.gateway.pools.get(pool).unwrap().set_endpoints(endpoints(addresses));
    }

    /// Gives a Service beside the pools its pods.
    pub(crate) fn beside(&self, service: &str, addresses: &[SocketAddr]) {
        self.gateway.mirrors.services.get(service).unwrap().set_endpoints(endpoints(addresses));
    }

    /// Sends a speech request.
    pub(crate) async fn speak(&self, body: &serde_json::Value) -> reqwest::Response {
        self.speak_with(&[], body).await
    }

    /// The same with headers.
    pub(crate) async fn speak_with(
        &self,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> reqwest::Response {
        let mut request = client().post(format!("{}/v1/audio/speech", self.url)).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }
}

fn endpoints(addresses: &[SocketAddr]) -> Vec<Endpoint> {
    addresses.iter().map(|address| Endpoint::new(*address, address.to_string())).collect()
}

pub(crate) fn client() -> reqwest::Client {
    // The client insists on a TLS provider even where nothing is encrypted; a
    // second test in the same process finds it there.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What a pod got.
pub(crate) type Got = (HeaderMap, Bytes);

/// A pod that answers what `respond` says; its address and a count of its calls.
pub(crate) async fn pod<F>(
    respond: impl Fn(Got) -> F + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = Response> + Send,
{
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let handler = any(move |request: Request| {
        let (respond, counted) = (respond.clone(), Arc::clone(&counted));
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            respond((parts.headers, body)).await
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
    (address, calls)
}

/// A pod that always speaks these bytes.
pub(crate) async fn speaking(bytes: &'static [u8]) -> SocketAddr {
    pod(move |_| async move { audio(stream::iter([Ok(Bytes::from_static(bytes))])) }).await.0
}

/// A pod that says "begin" at once, and "end" when told.
pub(crate) async fn speaking_in_two_parts(go: &Arc<Notify>) -> SocketAddr {
    let go = Arc::clone(go);
    let respond = move |_| {
        let told = Arc::clone(&go);
        async move {
            let rest = stream::once(async move {
                told.notified().await;
                Ok(Bytes::from_static(b"end"))
            });
            audio(stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(rest))
        }
    };
    pod(respond).await.0
}

/// A pod that always fails in this way.
pub(crate) async fn failing(code: ErrorCode) -> SocketAddr {
    pod(move |_| async move { error(code) }).await.0
}

/// A pod that takes requests and never answers.
pub(crate) async fn hanging() -> SocketAddr {
    pod(|_| std::future::pending()).await.0
}

/// An audio answer, streamed.
pub(crate) fn audio(bytes: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Response {
    streamed("audio/wav", bytes)
}

pub(crate) fn streamed(
    content_type: &str,
    bytes: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
) -> Response {
    let mut response = Response::new(Body::from_stream(bytes.boxed()));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    response
}

/// An error as pods answer it.
pub(crate) fn error(code: ErrorCode) -> Response {
    let body = ErrorBody::new(code, "in the pod's words", None, "r");
    let mut response = Response::new(Body::from(serde_json::to_vec(&body).unwrap()));
    *response.status_mut() = StatusCode::from_u16(code.entry().status).unwrap();
    response
}

/// The catalogue's code in an error answer.
pub(crate) async fn code_of(response: reqwest::Response) -> String {
    let body: serde_json::Value = response.json().await.unwrap();
    body["error"]["error_code"].as_str().unwrap_or_default().to_owned()
}
