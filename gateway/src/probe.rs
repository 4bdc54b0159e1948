//! Active health checks, so that a pod that hangs is known before a caller has
//! to wait for it. Each pod is checked at its own times, and less often while
//! callers' own requests tell how it is.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rand::Rng;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use ttsfleet_wire::pod::HEALTH_PORT;

use crate::{
    breaker::State,
    endpoint::{Endpoint, now},
    gateway::Gateway,
    health::{Check, Checked, Health},
    metrics::{Metrics, PoolLabels},
    pool::Pool,
};

/// Two checks in a row tell that a pod hangs: a caller there loses a second.
const EVERY: Duration = Duration::from_millis(500);
/// A pod that answers callers all the time is checked so often.
const ANSWERING_EVERY: Duration = Duration::from_secs(2);
/// A pod that has long answered nothing is checked so often.
const DEAD_EVERY: Duration = Duration::from_secs(4);
const TIMEOUT: Duration = Duration::from_millis(500);
/// Longest answer that is read, in bytes, so that its connection can be kept.
const MOST_ANSWER_BYTES: usize = 4 << 10;

type Http = Client<HttpConnector, Empty<bytes::Bytes>>;

/// Checks every pod, for ever.
pub async fn check_pods(gateway: Arc<Gateway>) {
    let http = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(1)
        .build_http();
    let mut checks = FuturesUnordered::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Some(()) = checks.next() => continue,
        }
        let (pools, beside) = (gateway.pools.all(), gateway.mirrors.services.all());
        for pool in pools.values().chain(beside.values()) {
            let endpoints = pool.endpoints();
            let unchecked = endpoints.iter().filter(|pod| pod.wants_checks());
            checks.extend(unchecked.map(|pod| keep_checking(Arc::downgrade(pod), |pod| check(&http, pod))));
        }
        for pool in pools.values() {
            publish(pool, &gateway.metrics);
        }
    }
}

/// Checks a pod for as long as it is in a pool, or has a request in progress.
async fn keep_checking<F: Future<Output = ()>>(pod: Weak<Endpoint>, check: impl Fn(Arc<Endpoint>) -> F) {
    let mut checked_at = now();
    // Pods that are found together are not checked together.
    let mut pause = rand::rng().random_range(Duration::ZERO..=EVERY);
    loop {
        sleep(pause).await;
        let Some(pod) = pod.upgrade() else { return };
        let is_due = is_due(&pod.known().checked, checked_at, now());
        if is_due {
            checked_at = now();
            check(pod).await;
        }
        pause = rand::rng().random_range(EVERY * 4 / 5..=EVERY * 6 / 5);
    }
}

/// Whether a pod that was checked then should be checked again.
fn is_due(known: &Checked, checked_at: Instant, now: Instant) -> bool {
    let since_check = now.saturating_duration_since(checked_at);
    let since_heard = known.heard().map(|heard| now.saturating_duration_since(heard));
    match known.health() {
        Health::Ready => since_check >= ANSWERING_EVERY || since_heard.is_none_or(|since| since >= EVERY),
        Health::Unready => true,
        // Twice as rarely each time.
        Health::Lost => {
            let doubled =
                EVERY.saturating_mul(2u32.saturating_pow(known.failed_in_a_row().saturating_sub(2)));
            since_check >= doubled.min(DEAD_EVERY) * 4 / 5
        }
    }
}

async fn check(http: &Http, pod: Arc<Endpoint>) {
    let begun = now();
    let check = timeout(TIMEOUT, ask(http, &pod)).await.unwrap_or(Check::NoAnswer);
    let before = pod.health();
    pod.checked(check, begun);
    let health = pod.health();
    if health != before {
        tracing::info!(pod = %pod.address, ?health, "health check");
    }
}

async fn ask(http: &Http, pod: &Endpoint) -> Check {
    let health = SocketAddr::new(pod.address.ip(), HEALTH_PORT);
    let Ok(uri) = format!("http://{health}/readyz").parse() else { return Check::NoAnswer };
    let Ok(response) = http.get(uri).await else { return Check::NoAnswer };
    let is_ready = response.status().is_success();
    // Whatever it says, the status is what counts.
    _ = Limited::new(response.into_body(), MOST_ANSWER_BYTES).collect().await;
    if is_ready { Check::Ready } else { Check::Unready }
}

fn publish(pool: &Pool, metrics: &Metrics) {
    let labels = PoolLabels { pool: pool.name.clone() };
    let now = now();
    let state = match pool.state(now) {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    };
    metrics.breaker.get_or_create(&labels).set(state);
    let able = |pod: &&Arc<Endpoint>| pod.health() == Health::Ready && pod.state(now) != State::Open;
    let able = pool.endpoints().iter().filter(able).count();
    metrics.endpoints.get_or_create(&labels).set(able as i64);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Times of the checks within a minute, of a pod that is heard of as told.
    fn checks(mut pod: Checked, start: Instant, check: Check, is_heard: impl Fn(u64) -> bool) -> Vec<u64> {
        let (mut checked_at, mut times) = (start, Vec::new());
        for tick in 1..=120 {
            let now = start + EVERY * tick as u32;
            if is_heard(tick) {
                pod.answered(start, now - Duration::from_millis(1));
            }
            if is_due(&pod, checked_at, now) {
                checked_at = now;
                pod.checked(check, now, now);
                times.push(tick);
            }
        }
        times
    }

    #[test]
    fn a_pod_that_answers_callers_is_checked_more_rarely() {
        let start = Instant::now();
        let idle = checks(Checked::new(start), start, Check::Ready, |_| false);
        assert_eq!(idle.len(), 120, "twice a second");
        let busy = checks(Checked::new(start), start, Check::Ready, |_| true);
        assert_eq!(busy.len(), 30, "every two seconds");
    }

    #[test]
    fn a_pod_that_falls_silent_is_checked_at_once() {
        let start = Instant::now();
        let times = checks(Checked::new(start), start, Check::Ready, |tick| tick <= 61);
        let after: Vec<_> = times.into_iter().filter(|tick| *tick > 61).take(3).collect();
        assert_eq!(after, [62, 63, 64]);
    }

    #[test]
    fn a_pod_that_stops_is_checked_often_and_one_that_is_dead_rarely() {
        let start = Instant::now();
        assert_eq!(checks(Checked::new(start), start, Check::Unready, |_| false).len(), 120);
        let dead = checks(Checked::new(start), start, Check::NoAnswer, |_| false);
        assert_eq!(dead[..6], [1, 2, 3, 5, 9, 16], "{dead:?}");
        assert!(dead.len() < 25, "{dead:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_pods_are_checked_at_all_times_and_not_together() {
        let pods: Vec<_> =
            (0..1000).map(|_| Arc::new(Endpoint::new(([10, 0, 0, 1], 8080).into(), String::new()))).collect();
        let (begun, times) = (now(), RefCell::new(Vec::new()));
        let check = |_| async { times.borrow_mut().push((now() - begun).as_millis() / 50) };
        let checks =
            FuturesUnordered::from_iter(pods.iter().map(|pod| keep_checking(Arc::downgrade(pod), check)));
        assert!(timeout(Duration::from_secs(10), checks.collect::<()>()).await.is_err());
        let times = times.into_inner();
        assert!((18_000..22_000).contains(&times.len()), "twice a second: {}", times.len());
        for moment in 0..200 {
            let at_once = times.iter().filter(|time| **time == moment).count();
            assert!(at_once < 250, "{at_once} in one twentieth of a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_gone_is_checked_no_more() {
        let pod = Arc::new(Endpoint::new(([10, 0, 0, 1], 8080).into(), String::new()));
        let checks = keep_checking(Arc::downgrade(&pod), |_| async {});
        drop(pod);
        timeout(Duration::from_secs(1), checks).await.unwrap();
    }
}
