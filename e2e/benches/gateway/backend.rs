//! Two pretended pods that answer a second of audio at once, so that what is
//! measured is the proxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::{get, post};
use futures::stream;
use tokio::net::TcpListener;

/// The pods' addresses. An API server takes none of 127.0.0.0/8 for a pod, so
/// that the loopback device gets two more.
pub(crate) const PODS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 254, 9, 1), Ipv4Addr::new(10, 254, 9, 2)];
/// The pods' ports: speech and health.
pub(crate) const PORTS: [u16; 2] = [8080, 8081];

/// A second of samples at 24 kHz, in the pieces that a pod would send.
const PIECES: usize = 3;
const PIECE: [u8; 16_000] = [0; 16_000];

/// The pods' addresses on the loopback device, until this value is gone.
pub(crate) struct Addresses(());

impl Addresses {
    pub(crate) fn add() -> Result<Self> {
        for pod in PODS {
            if !address("replace", pod)?.success() {
                bail!("cannot give the loopback device the address {pod}; are you root?");
            }
        }
        Ok(Self(()))
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for pod in PODS {
            // It does no harm if it stays.
            let _ = address("del", pod);
        }
    }
}

fn address(verb: &str, pod: Ipv4Addr) -> Result<ExitStatus> {
    let address = format!("{pod}/32");
    let status = Command::new("ip").args(["address", verb, &address, "dev", "lo"]).status();
    status.context("cannot run ip")
}

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
    let pieces = std::iter::repeat_n(Bytes::from_static(&PIECE), PIECES).map(Ok::<_, std::io::Error>);
    let mut response = Response::new(Body::from_stream(stream::iter(pieces)));
    response.headers_mut().insert("content-type", "audio/pcm".parse().unwrap());
    response
}
