//! `/healthz`, `/readyz` and `/metrics`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Whether the process has reached what it needs. A standby is ready, too:
/// there is nothing it waits for but its turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ready(Arc<AtomicBool>);

impl Ready {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Binds an address. All of IPv6 means all of IPv4, too, and IPv4 alone where
/// the system has nothing else.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await.map_err(|_| error)
        }
        bound => bound,
    }
}

/// The routes.
pub(crate) fn router(metrics: Metrics, ready: Ready) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz).with_state(ready))
        .route("/metrics", get(text).with_state(metrics))
}

async fn readyz(State(ready): State<Ready>) -> Response {
    if ready.0.load(Ordering::Relaxed) {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "has not reached the API server yet").into_response()
    }
}

async fn text(State(metrics): State<Metrics>) -> Response {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_either_family() {
        let listener = listen((Ipv6Addr::UNSPECIFIED, 0).into()).await.expect("a port");
        let bound = listener.local_addr().expect("an address");
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, bound.port())).await.is_ok());
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, bound.port())).await;
        assert_eq!(six.is_ok(), bound.is_ipv6());
    }
}
