//! Two pretended pods that answer a second of audio at once, so that what is
//! measured is the proxy.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{get, post};
use futures::stream;
use tokio::net::TcpListener;

/// The pods' addresses.
pub(crate) const PODS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 9, 1), Ipv4Addr::new(127, 0, 9, 2)];
/// The pods' ports: speech and health.
pub(crate) const PORTS: [u16; 2] = [8080, 8081];

/// A second of samples at 24 kHz, in the pieces that a pod would send.
const PIECES: usize = 3;
const PIECE: [u8; 16_000] = [0; 16_000];

/// The first pod's address for callers that use no proxy.
pub(crate) fn url() -> String {
    format!("http://{}:{}", PODS[0], PORTS[0])
}

/// Serves both pods, for ever.
pub(crate) async fn serve() {
    for pod in PODS {
        for port in PORTS {
            let listener = TcpListener::bind(SocketAddr::from((pod, port))).await.unwrap();
            let routes = Router::new()
                .route("/v1/audio/speech", post(speak))
                .route("/readyz", get(async || "ready\n"));
            tokio::spawn(async move { axum::serve(listener, routes).await });
        }
    }
}

async fn speak(_request: Bytes) -> Response {
    let pieces = std::iter::repeat_n(Ok::<_, std::io::Error>(Bytes::from_static(&PIECE)), PIECES);
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    response.headers_mut().insert("content-type", "audio/pcm".parse().unwrap());
    response
}
