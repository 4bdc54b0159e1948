//! Active health checks, so that a pod that hangs is known before a caller has
//! to wait for it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use http_body_util::Empty;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use ttsfleet_wire::pod::HEALTH_PORT;

use crate::{
    breaker::State,
    endpoint::Endpoint,
    gateway::Gateway,
    metrics::{Metrics, PoolLabels},
    pool::Pool,
};

/// Two checks in a row tell that a pod hangs: a caller there loses a second.
const EVERY: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(500);

type Http = Client<HttpConnector, Empty<bytes::Bytes>>;

/// Checks every pod twice a second, for ever.
pub async fn check_pods(gateway: Arc<Gateway>) {
    let http: Http = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build_http();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pools = gateway.pools.all();
        let beside = gateway.mirrors.services.all();
        let endpoints: Vec<_> =
            pools.values().chain(beside.values()).flat_map(|pool| pool.endpoints().to_vec()).collect();
        join_all(endpoints.iter().map(|endpoint| check(&http, endpoint))).await;
        for pool in pools.values() {
            publish(pool, &gateway.metrics);
        }
    }
}

async fn check(http: &Http, endpoint: &Endpoint) {
    let health = SocketAddr::new(endpoint.address.ip(), HEALTH_PORT);
    let Ok(uri) = format!("http://{health}/readyz").parse() else { return };
    let answered = timeout(TIMEOUT, http.get(uri)).await;
    let well = matches!(answered, Ok(Ok(response)) if response.status().is_success());
    if well != endpoint.is_healthy() {
        tracing::info!(pod = %endpoint.address, well, "health check");
    }
    endpoint.checked(well);
}

fn publish(pool: &Pool, metrics: &Metrics) {
    let labels = PoolLabels { pool: pool.name.clone() };
    let now = Instant::now();
    let state = match pool.state(now) {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    };
    metrics.breaker.get_or_create(&labels).set(state);
    let able = |endpoint: &&Arc<Endpoint>| endpoint.is_healthy() && endpoint.state(now) != State::Open;
    let able = pool.endpoints().iter().filter(able).count();
    metrics.endpoints.get_or_create(&labels).set(able as i64);
}
