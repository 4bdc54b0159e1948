//! The fleet's front door. `speak` is the one place that says in which order a
//! request passes through what.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, HeaderValue, Method, Request, Response, header},
};
use hyper::body::Incoming;
use jiff::Timestamp;
use ttsfleet_serving::{
    Failure, Observer, Record, Routes, Tracked, answer, begin, end, no_such_method, no_such_path, openapi,
    read_json_body, ready,
};
use ttsfleet_wire::{error::ErrorCode, headers, route::OnExhausted};

use crate::{
    attempts::{Answered, Exhausted},
    cors, empty,
    flow::Flow,
    forward,
    gateway::Gateway,
    limit::{Limited, Sent},
    lists::list,
    paths::Place,
    pressure::is_long_wait,
    relay::{Sending, deliver, number, tell_truncated},
    resume::Resumption,
    route::{Route, Tier},
    tier::{Caller, identify},
    upstream::{Answer, Forward},
    usage::{Charge, moment, tell},
};

/// The speech port. Its paths are too few, and its requests too many, for a router
/// with layers and boxed bodies.
#[derive(Clone)]
pub struct Front {
    gateway: Arc<Gateway>,
    observer: Arc<dyn Observer>,
}

/// The speech port.
pub fn routes(gateway: Arc<Gateway>) -> Front {
    let observer: Arc<dyn Observer> = gateway.metrics.clone();
    Front { gateway, observer }
}

impl Routes for Front {
    type Body = Tracked<Sending>;

    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<> {
        let front = self.clone();
        // Boxed, so that a connection without a request holds no room for one.
        Box::pin(async move { front.respond(request).await })
    }
}

impl Front {
    async fn respond(&self, request: Request<Incoming>) -> Response<Tracked<Sending>> {
        let uri = request.uri().clone();
        let place = Place::of(uri.path());
        let record = begin(Arc::clone(&self.observer), &request, place.map(Place::name));
        let method = request.method().clone();
        let page = self.gateway.page(request.headers());
        let mut response = match place {
            None => answer(&record, Err(no_such_path())),
            Some(_) if method == Method::OPTIONS => {
                cors::options(page.is_some(), request.headers()).map(Into::into)
            }
            Some(place) => self.at(place, &method, &record, request).await,
        };
        if let Some(page) = page {
            cors::allow(response.headers_mut(), page);
        }
        if self.gateway.is_draining() {
            // Another connection will be one to another gateway.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if method == Method::HEAD {
            response = without_body(response);
        }
        end(response, record)
    }

    async fn at(
        &self,
        place: Place<'_>,
        method: &Method,
        record: &Arc<Record>,
        request: Request<Incoming>,
    ) -> Response<Sending> {
        let (gateway, methods) = (&self.gateway, place.methods());
        if !methods.split(',').any(|one| method == one) {
            let mut response = answer(record, Err(no_such_method()));
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
            return response;
        }
        let answered = match place {
            Place::Speech => {
                let mut told = HeaderMap::new();
                let spoken = speak(gateway, record, request, &mut told).await;
                let mut response = answer(record, spoken);
                response.headers_mut().extend(told);
                return response;
            }
            Place::List(what) => list(gateway, record, request.headers(), what).await,
            Place::Health => {
                record.is_no_request();
                return ready(gateway.readiness()).map(Into::into);
            }
            Place::OpenApi => Ok(openapi().map(Into::into)),
        };
        answer(record, answered)
    }
}

/// The answer to a request that asks for the head alone.
fn without_body(mut response: Response<Sending>) -> Response<Sending> {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response.map(|_| Body::empty().into())
}

/// Speaks a text. `told` are headers of the answer, whatever that is.
async fn speak(
    gateway: &Arc<Gateway>,
    record: &Arc<Record>,
    request: Request<Incoming>,
    told: &mut HeaderMap,
) -> Result<Response<Sending>, Failure> {
    // One table for the whole request, whatever changes meanwhile.
    let route = gateway.route()?;
    let (parts, body) = request.into_parts();
    let caller = identify(&route, &gateway.keys, &parts.headers, Timestamp::now())?;
    let tier = Arc::clone(&caller.tier);
    note_caller(&caller, record);
    let on_exhausted = on_exhausted(&parts.headers, &tier, &route)?;
    // The place itself is taken only once the body is here, or slow senders would
    // hold them all.
    gateway.check()?;
    let body = read_json_body(&parts.headers, body, &gateway.body_limits).await?;
    let sent = Sent::read(body)?;
    if route.api.strict {
        sent.ignores_nothing()?;
    }
    record.set_input_chars(sent.input_chars);
    let mut limited = sent.limit(&route, || is_under_pressure(gateway, &tier))?;
    record.hold(gateway.admit()?);
    let charge = charge(gateway, &route, &caller, &limited, told)?;
    let tag = caller.tag(&route.fleet);
    let deadline = tokio::time::Instant::now() + route.total;
    let mut forward = forward::speech(&limited, &route, &tier, tag.as_deref(), record);
    let mut attempted = attempt(gateway, &route, &tier, &forward, deadline).await;
    note_pressure(gateway, &route, &tier, &limited, &attempted);
    if limited.is_long && found_no_room(&attempted) {
        // Cut, it is like any other.
        limited = sent.limit(&route, || true)?;
        forward = forward::speech(&limited, &route, &tier, tag.as_deref(), record);
        attempted = attempt(gateway, &route, &tier, &forward, deadline).await;
    }
    let mut response = match attempted {
        Ok(answered) => {
            let is_spoken = answered.answer.head.status.is_success();
            settle(charge, if is_spoken { limited.spoken_chars } else { 0 }, told);
            if is_spoken {
                record.first_audio();
                gateway.mirrors.pass_on(&tier, &limited);
            }
            let resumption = Resumption::new(gateway, forward, &answered.answer);
            deliver(answered, &tier, record, &route, resumption)
        }
        Err(exhausted) => {
            settle(charge, 0, told);
            if !exhausted.refused {
                gateway.mirrors.pass_on(&tier, &limited);
            }
            resolve(exhausted, on_exhausted, &limited, record)?
        }
    };
    if let Some(ignored) = &limited.ignored {
        response.headers_mut().insert(headers::IGNORED, ignored.clone());
    }
    if limited.is_truncated() {
        gateway.metrics.truncated.inc();
        record.set_cut_to(limited.spoken_chars);
        tell_truncated(&limited, response.headers_mut());
    }
    Ok(response)
}

fn note_caller(caller: &Caller, record: &Record) {
    record.set_tier(&caller.tier.name);
    if let Some(name) = caller.name() {
        record.set_key(name);
    }
}

/// Takes a request and its text from what the caller may have, if that is bounded.
fn charge<'a>(
    gateway: &'a Gateway,
    route: &Route,
    caller: &Caller,
    limited: &Limited,
    told: &mut HeaderMap,
) -> Result<Option<Charge<'a>>, Failure> {
    let quota = caller.quota();
    if quota.is_unbounded() {
        return Ok(None);
    }
    let (account, now) = (caller.account(&route.fleet), moment());
    let taken = gateway.usage.take(&account, quota, limited.spoken_chars, &now);
    if let Err(failure) = &taken {
        tell(&gateway.usage.left(&account, &quota, &now), told);
        if !failure.code.entry().retryable {
            told.insert(headers::SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
    taken.map(Some)
}

/// Gives back what has not been spoken, and says what is left.
fn settle(charge: Option<Charge<'_>>, spoken_chars: usize, told: &mut HeaderMap) {
    if let Some(charge) = charge {
        tell(&charge.spoken(spoken_chars), told);
    }
}

/// What the caller gets when every attempt has failed: what it asks for, else
/// what its tier has, else what the fleet has.
fn on_exhausted(map: &HeaderMap, tier: &Tier, route: &Route) -> Result<OnExhausted, Failure> {
    match map.get(headers::ON_EXHAUSTED).map(HeaderValue::as_bytes) {
        None => Ok(tier.on_exhausted.unwrap_or(route.on_exhausted)),
        Some(value) if value == headers::ERROR.as_bytes() => Ok(OnExhausted::Error),
        Some(value) if value == headers::EMPTY_AUDIO.as_bytes() => Ok(OnExhausted::EmptyAudio),
        Some(_) => {
            let (name, error, empty) = (headers::ON_EXHAUSTED, headers::ERROR, headers::EMPTY_AUDIO);
            let message = format!("The header `{name}` can be `{error}` or `{empty}`.");
            Err(Failure::new(ErrorCode::InvalidParameter, message))
        }
    }
}

fn is_under_pressure(gateway: &Gateway, tier: &Tier) -> bool {
    let pool = tier.pools.first().and_then(|name| gateway.pools.get(name));
    pool.is_none_or(|pool| gateway.pressure.is_on(&pool, Instant::now()))
}

/// Notes what an attempt tells of the pool: refusals, answers by another pool,
/// waiting. Long texts wait for shorter ones, and their waiting tells nothing.
fn note_pressure(
    gateway: &Gateway,
    route: &Route,
    tier: &Tier,
    limited: &Limited,
    attempted: &Result<Answered<Answer>, Exhausted>,
) {
    let Some(first) = tier.pools.first() else { return };
    let is_sign = match attempted {
        Ok(answered) => {
            let waited = number(&answered.answer.head.headers, headers::QUEUE_MS).unwrap_or_default();
            let waited = Duration::from_millis(waited);
            answered.call.pool.name != *first
                || !limited.is_long && is_long_wait(waited, route.pod_rule.threshold)
        }
        Err(exhausted) => exhausted.refused || limited.is_long && found_no_room(attempted),
    };
    if is_sign {
        gateway.pressure.sign(first, Instant::now());
    }
}

/// Whether a long text was refused, or waited for one attempt in vain.
fn found_no_room(attempted: &Result<Answered<Answer>, Exhausted>) -> bool {
    let waited = |exhausted: &Exhausted| exhausted.failure.code == ErrorCode::UpstreamTimeout;
    attempted.as_ref().is_err_and(|exhausted| exhausted.refused || waited(exhausted))
}

async fn attempt(
    gateway: &Gateway,
    route: &Arc<Route>,
    tier: &Tier,
    forward: &Forward,
    deadline: tokio::time::Instant,
) -> Result<Answered<Answer>, Exhausted> {
    let caller = forward.headers.get(headers::CALLER).map_or(&b""[..], HeaderValue::as_bytes);
    let flow = Flow::new(&tier.name, caller, forward.is_long());
    let attempts = gateway.attempts(route, gateway.pools_of(tier), flow, forward);
    gateway.attempted(attempts.until(deadline), forward).await
}

/// What a caller gets when every attempt has failed. A refusal for want of room
/// stays one: an empty file would hide the load from the caller.
fn resolve(
    exhausted: Exhausted,
    on_exhausted: OnExhausted,
    limited: &Limited,
    record: &Record,
) -> Result<Response<Sending>, Failure> {
    let Exhausted { failure, refused, attempts } = exhausted;
    if refused || on_exhausted == OnExhausted::Error {
        return Err(failure);
    }
    let Some(mut response) = empty::answer(limited.format.as_deref(), limited.events) else {
        return Err(failure);
    };
    record.fail(&failure);
    record.set_degraded(headers::EMPTY_AUDIO);
    response.headers_mut().insert(headers::ATTEMPTS, attempts.into());
    Ok(response.map(Into::into))
}
