//! The fleet's front door. `speak` is the one place that says in which order a
//! request passes through what.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
    routing::{get, post},
};
use ttsfleet_serving::{Failure, Observer, Record, answer, read_json_body, speech_port};
use ttsfleet_wire::{error::ErrorCode, headers, route::OnExhausted};

use crate::{
    attempts::{Answered, Attempts, Exhausted},
    empty,
    gateway::Gateway,
    limit::{Limited, limit},
    mirror::Tap,
    relay::{respond, tell_truncated},
    route::{Route, Tier},
    tier::identify,
    upstream::{Answer, Forward},
};

/// What `x-tts-degraded` says of an answer by another pool than the first.
const BACKUP: &str = "backup";

/// The paths of the speech port.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    let observer: Arc<dyn Observer> = gateway.metrics.clone();
    let paths = Router::new()
        .route("/v1/audio/speech", post(speech))
        .route("/v1/audio/voices", get(voices))
        .route("/v1/models", get(models));
    speech_port(paths, observer).with_state(gateway)
}

async fn speech(
    State(gateway): State<Arc<Gateway>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    answer(&record, speak(&gateway, &record, request).await)
}

async fn speak(gateway: &Gateway, record: &Arc<Record>, request: Request) -> Result<Response, Failure> {
    // One table for the whole request, whatever changes meanwhile.
    let route = gateway.route()?;
    let (parts, body) = request.into_parts();
    let tier = identify(&route, &gateway.keys, &parts.headers)?;
    record.set_tier(&tier.name);
    record.hold(gateway.admit()?);
    let body = read_json_body(&parts.headers, body, &gateway.body_limits).await?;
    let limited = limit(body, &route)?;
    record.set_input_chars(limited.input_chars);
    let forward = forward_speech(&limited, record);
    let mut response = match attempt(gateway, &route, &tier, &forward).await {
        Ok(answered) => {
            if answered.answer.head.status.is_success() {
                record.first_audio();
            }
            let tap = gateway.mirrors.tap(&answered, &tier, &limited, &forward);
            deliver(answered, &tier, record, &route, tap)
        }
        Err(exhausted) => resolve(exhausted, &route, &limited, record)?,
    };
    if limited.is_truncated() {
        gateway.metrics.truncated.inc();
        tell_truncated(&limited, response.headers_mut());
    }
    Ok(response)
}

async fn voices(
    State(gateway): State<Arc<Gateway>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    answer(&record, list(&gateway, &record, request.headers(), "/v1/audio/voices").await)
}

async fn models(
    State(gateway): State<Arc<Gateway>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    answer(&record, list(&gateway, &record, request.headers(), "/v1/models").await)
}

/// Asks a pod of the tier's first pool that answers.
async fn list(
    gateway: &Gateway,
    record: &Arc<Record>,
    headers: &HeaderMap,
    path: &'static str,
) -> Result<Response, Failure> {
    let route = gateway.route()?;
    let tier = identify(&route, &gateway.keys, headers)?;
    record.set_tier(&tier.name);
    record.hold(gateway.admit()?);
    let forward = Forward { method: Method::GET, path, headers: traced(record), body: bytes::Bytes::new() };
    match attempt(gateway, &route, &tier, &forward).await {
        Ok(answered) => Ok(deliver(answered, &tier, record, &route, None)),
        Err(exhausted) => Err(exhausted.failure),
    }
}

async fn attempt(
    gateway: &Gateway,
    route: &Arc<Route>,
    tier: &Tier,
    forward: &Forward,
) -> Result<Answered<Answer>, Exhausted> {
    let pools = tier.pools.iter().filter_map(|name| gateway.pools.get(name)).collect();
    let mut attempts = Attempts::new(route, &gateway.budget, pools);
    if forward.method == Method::GET {
        attempts = attempts.without_hedges();
    }
    let ended = attempts.run(|pod, time| gateway.upstream.attempt(forward, pod, time)).await;
    let made = ended.as_ref().map_or_else(|exhausted| exhausted.attempts, |answered| answered.attempts);
    gateway.metrics.attempts.inc_by(u64::from(made));
    ended
}

/// Hands an answer on, saying where it comes from.
fn deliver(
    answered: Answered<Answer>,
    tier: &Tier,
    record: &Arc<Record>,
    route: &Route,
    tap: Option<Tap>,
) -> Response {
    let pool = answered.call.pool.name.clone();
    let declined = !answered.answer.head.status.is_success();
    record.set_pool(&pool);
    if declined {
        // The pod's own words are in the answer; here the code is what counts.
        let code = answered.answer.code.unwrap_or(ErrorCode::UpstreamFailed);
        record.fail(&Failure::new(code, "declined by a pod"));
    }
    let mut response = respond(answered, record, route.idle, tap);
    if !declined && tier.pools.first() != Some(&pool) {
        record.set_degraded(BACKUP);
        response.headers_mut().insert(headers::DEGRADED, HeaderValue::from_static(BACKUP));
    }
    response
}

/// What a caller gets when every attempt has failed. A refusal for want of room
/// stays one: an empty file would hide the load from the caller.
fn resolve(
    exhausted: Exhausted,
    route: &Route,
    limited: &Limited,
    record: &Record,
) -> Result<Response, Failure> {
    let Exhausted { failure, refused, attempts } = exhausted;
    if refused || route.on_exhausted == OnExhausted::Error {
        return Err(failure);
    }
    let Some(mut response) = empty::answer(limited.format.as_deref(), limited.events) else {
        return Err(failure);
    };
    record.fail(&failure);
    record.set_degraded(empty::DEGRADED);
    response.headers_mut().insert(headers::ATTEMPTS, attempts.into());
    Ok(response)
}

fn forward_speech(limited: &Limited, record: &Record) -> Forward {
    let mut headers = traced(record);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if limited.is_truncated() {
        headers.insert(headers::INPUT_CHARS, limited.input_chars.into());
    }
    Forward { method: Method::POST, path: "/v1/audio/speech", headers, body: limited.body.clone() }
}

/// Headers by which the pod's log line can be found.
fn traced(record: &Record) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert(HeaderName::from_static(headers::TRACE_PARENT), record.trace().header());
    if let Ok(id) = HeaderValue::from_str(record.request_id()) {
        map.insert(HeaderName::from_static(headers::REQUEST_ID), id);
    }
    map
}
