//! The lists of models and voices: a pod's, and the fleet's own names behind.

use std::sync::Arc;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Method, Response, header},
};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use ttsfleet_serving::{Failure, Record};
use ttsfleet_wire::{
    error::ErrorCode,
    headers,
    names::Aliases,
    speech::{ModelList, SpeechModelList, VoiceList},
};

use crate::{
    attempts::{Answered, Attempts},
    forward::traced,
    gateway::Gateway,
    paths::List,
    relay::{Sending, deliver},
    route::{Route, Tier},
    tier::identify,
    upstream::{Answer, Forward},
};

/// Longest list of a pod that is read.
const MOST_BYTES: usize = 1 << 20;
/// Of an answer that may be kept, but not given again unasked: it changes with the
/// model served.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Asks a pod of the tier's first pool that answers.
///
/// # Errors
/// When the caller may not, when no pod answers, and when a model is asked for
/// that is not served.
pub(crate) async fn list(
    gateway: &Gateway,
    record: &Arc<Record>,
    map: &HeaderMap,
    what: List<'_>,
) -> Result<Response<Sending>, Failure> {
    let route = gateway.route()?;
    let tier = tier(gateway, &route, map)?;
    record.set_tier(&tier.name);
    record.hold(gateway.admit()?);
    let path = if what == List::Voices { "/v1/audio/voices" } else { "/v1/models" };
    let forward = Forward { method: Method::GET, path, headers: of_tier(&tier, record), body: Bytes::new() };
    let attempts = Attempts::new(&route, &gateway.budget, gateway.pools_of(&tier)).without_hedges();
    let answered = gateway.attempted(attempts, &forward).await.map_err(|exhausted| exhausted.failure)?;
    let answered = with_names(answered, what, &route.api.aliases).await?;
    let mut response = deliver(answered, &tier, record, &route, None);
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(NO_CACHE);
    Ok(response)
}

/// Whose list it is; the default tier's if nobody has to say who asks.
fn tier(gateway: &Gateway, route: &Route, map: &HeaderMap) -> Result<Arc<Tier>, Failure> {
    match identify(route, &gateway.keys, map, Timestamp::now()) {
        Ok(caller) => Ok(caller.tier),
        Err(_) if route.api.public_lists => Ok(Arc::clone(route.default_tier())),
        Err(failure) => Err(failure),
    }
}

/// A pod lists its own names alone if it is asked for a tier.
fn of_tier(tier: &Tier, record: &Record) -> HeaderMap {
    let mut map = traced(record);
    if let Ok(name) = HeaderValue::from_str(&tier.name) {
        map.insert(headers::TIER, name);
    }
    map
}

/// The answer, with what the caller asks for made of the pod's list.
async fn with_names(
    answered: Answered<Answer>,
    what: List<'_>,
    aliases: &Aliases,
) -> Result<Answered<Answer>, Failure> {
    if !answered.answer.head.status.is_success() {
        return Ok(answered);
    }
    let Answered { answer: Answer { mut head, first, rest, code }, call, attempts } = answered;
    let mut bytes = first.to_vec();
    if let Some(rest) = rest {
        let rest = Limited::new(rest, MOST_BYTES).collect().await;
        bytes.extend_from_slice(&rest.map_err(|error| unreadable(error.to_string()))?.to_bytes());
    }
    let listed = named(&bytes, what, aliases)?;
    head.headers.insert(header::CONTENT_LENGTH, listed.len().into());
    Ok(Answered { answer: Answer { head, first: listed, rest: None, code }, call, attempts })
}

fn named(bytes: &[u8], what: List<'_>, aliases: &Aliases) -> Result<Bytes, Failure> {
    let models = || read::<ModelList>(bytes).map(|list| list.with(aliases));
    let listed = match what {
        List::Voices => serde_json::to_vec(&read::<VoiceList>(bytes)?.with(aliases)),
        List::Models => serde_json::to_vec(&models()?),
        List::SpeechModels => serde_json::to_vec(&SpeechModelList::from(models()?)),
        List::Model(id) => serde_json::to_vec(&models()?.one(&percent_decode_str(id).decode_utf8_lossy())?),
    };
    listed.map(Bytes::from).map_err(|error| unreadable(error.to_string()))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(cause: String) -> Failure {
    Failure::new(ErrorCode::UpstreamFailed, "A pod's list cannot be read; try again.").because(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn models(what: List<'_>) -> Result<Value, ErrorCode> {
        let pods = json!({"object": "list", "data": [{
            "id": "my voice", "object": "model", "created": 1, "owned_by": "ttsfleet", "version": "2",
            "digest": "sha256:00",
        }]});
        let aliases = Aliases { models: ["tts-1".to_owned()].into(), ..Aliases::default() };
        let listed = named(pods.to_string().as_bytes(), what, &aliases);
        listed.map(|bytes| serde_json::from_slice(&bytes).unwrap()).map_err(|failure| failure.code)
    }

    #[test]
    fn models_are_listed_in_both_shapes_and_one_by_one() {
        let name = |list: &Value, field: &str, place: usize| list[field][place]["id"].clone();
        let listed = models(List::Models).unwrap();
        assert_eq!((name(&listed, "data", 0), name(&listed, "data", 1)), (json!("my voice"), json!("tts-1")));
        let listed = models(List::SpeechModels).unwrap();
        assert_eq!(listed["models"][1], json!({"id": "tts-1", "name": "tts-1"}));
        assert_eq!(models(List::Model("my%20voice")).unwrap()["version"], "2");
        assert_eq!(models(List::Model("tts-1")).unwrap()["alias_of"], "my voice");
        assert_eq!(models(List::Model("nobody")), Err(ErrorCode::ModelNotFound));
    }

    #[test]
    fn what_is_no_list_is_a_pods_failure() {
        for bytes in [&b"{}"[..], b"[]", b""] {
            let failure = named(bytes, List::Voices, &Aliases::default()).unwrap_err();
            assert_eq!(failure.code, ErrorCode::UpstreamFailed);
        }
    }
}
