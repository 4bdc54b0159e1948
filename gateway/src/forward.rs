//! What of a request is passed on to a pod.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use ttsfleet_serving::Record;
use ttsfleet_wire::headers;

use crate::{
    limit::Limited,
    paths::Place,
    route::{Route, Tier},
    upstream::Forward,
};

/// As many headers as a request to a pod or an answer mostly has, at most.
pub(crate) const MOST_HEADERS: usize = 14;

/// A text to be spoken, by whichever pod. `caller` tells whose it is.
pub(crate) fn speech(
    limited: &Limited,
    route: &Route,
    tier: &Tier,
    caller: Option<&str>,
    record: &Record,
) -> Forward {
    let mut map = traced(record);
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // How long the audio is stands in the trailer.
    map.insert(header::TE, HeaderValue::from_static("trailers"));
    map.insert(headers::CAME_AT, Timestamp::now().as_second().into());
    map.insert(headers::WEIGHT, tier.weight.into());
    map.insert(headers::PATIENCE_MS, (patience(route).as_millis() as u64).into());
    for (name, value) in [(headers::TIER, Some(tier.name.as_str())), (headers::CALLER, caller)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            map.insert(name, value);
        }
    }
    if limited.meant.served_model {
        map.insert(headers::MODEL_MEANT, HeaderValue::from_static(headers::SERVED));
    }
    if let Some(Ok(voice)) = limited.meant.voice.as_deref().map(HeaderValue::from_str) {
        map.insert(headers::VOICE_MEANT, voice);
    }
    if limited.is_long {
        map.insert(headers::LONG, HeaderValue::from_static("true"));
    }
    if limited.is_truncated() {
        map.insert(headers::INPUT_CHARS, limited.input_chars.into());
    }
    Forward { method: Method::POST, path: Place::Speech.name(), headers: map, body: limited.body.clone() }
}

/// How long a pod may let a request wait for a thread, so that its first audio is
/// not late: what is refused in time can be asked for elsewhere.
fn patience(route: &Route) -> Duration {
    route.pod_rule.threshold.min(route.attempt) * 2 / 3
}

/// Headers by which the pod's log line can be found.
pub(crate) fn traced(record: &Record) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(MOST_HEADERS);
    map.insert(HeaderName::from_static(headers::TRACE_PARENT), record.trace().header());
    if let Ok(id) = HeaderValue::from_str(record.request_id()) {
        map.insert(HeaderName::from_static(headers::REQUEST_ID), id);
    }
    map
}
