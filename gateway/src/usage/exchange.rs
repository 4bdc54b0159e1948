//! Gateways telling each other what they have counted.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode},
    routing::get,
};
use http_body_util::{BodyExt, Limited};
use ttsfleet_serving::json;
use ttsfleet_wire::gateway::USAGE_PATH;

use super::{Counts, moment};
use crate::{gateway::Gateway, upstream::Forward};

/// How often the others are asked: about so long a caller may have more than its
/// quota by asking several gateways.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest answer that is read.
const MOST_BYTES: usize = 4 << 20;

/// Where the others ask.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route(USAGE_PATH, get(async move || json(&gateway.usage.told())))
}

/// Asks the fleet's other gateways what they have counted, for ever. `port` is
/// that of their health.
pub async fn exchange(gateway: Arc<Gateway>, port: u16) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    loop {
        ticks.tick().await;
        if gateway.has_quotas() {
            let others = gateway.usage.gateways();
            futures::future::join_all(others.into_iter().map(|ip| ask(&gateway, ip, port))).await;
        }
    }
}

async fn ask(gateway: &Gateway, ip: IpAddr, port: u16) {
    match tokio::time::timeout(PATIENCE, answer(gateway, SocketAddr::new(ip, port))).await {
        Ok(Ok(told)) => gateway.usage.hear(told, &moment()),
        // It may be gone already; whoever is there is asked again soon.
        Ok(Err(cause)) => tracing::debug!(%ip, cause, "another gateway's counts cannot be had"),
        Err(_) => tracing::debug!(%ip, "another gateway does not tell its counts"),
    }
}

async fn answer(gateway: &Gateway, address: SocketAddr) -> Result<Vec<Counts>, String> {
    let question =
        Forward { method: Method::GET, path: USAGE_PATH, headers: HeaderMap::new(), body: Bytes::new() };
    let sent = gateway.upstream.send(&question, address).await;
    let response = sent.map_err(|unsent| unsent.failure.cause.unwrap_or(unsent.failure.message))?;
    if response.status() != StatusCode::OK {
        return Err(format!("it answers {}", response.status()));
    }
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}
