//! The admin API: how the operator has this server stage, swap, revert and
//! free models ([`ttsfleet_wire::admin`]). On a port of its own, for whoever
//! knows the token.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use ttsfleet_serving::{BodyLimits, Failure, TraceParent, json, read_json_body};
use ttsfleet_wire::{
    admin::{FREE_PATH, REVERT_PATH, STAGE_PATH, STATUS_PATH, SWAP_PATH, StageOrder, SwapOrder},
    error::ErrorCode,
};

use crate::keeper::{Keeper, Taken};

/// An order is one model's record.
const BODY: BodyLimits = BodyLimits { max_bytes: 64 << 10, timeout: Duration::from_secs(10) };

/// sha256 of the admin API's bearer token, as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn is_of(&self, token: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(token).into();
        self.0.ct_eq(&presented).into()
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(digits: &str) -> Result<Self, String> {
        let mut hash = [0; 32];
        hex::decode_to_slice(digits.trim(), &mut hash)
            .map_err(|_| "it must be 64 hexadecimal digits".to_owned())?;
        Ok(Self(hash))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash")
    }
}

pub(crate) fn admin_routes(keeper: Arc<Keeper>, token: TokenHash) -> Router {
    Router::new()
        .route(STATUS_PATH, get(status))
        .route(STAGE_PATH, post(stage))
        .route(SWAP_PATH, post(swap))
        .route(REVERT_PATH, post(revert))
        .route(FREE_PATH, post(free))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(token, authorize))
        .with_state(keeper)
}

async fn authorize(State(token): State<TokenHash>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        Some(presented) if token.is_of(presented) => next.run(request).await,
        _ => {
            let message = "Send the admin token of this pod as `Authorization: Bearer TOKEN`.";
            let mut response = refuse(Failure::new(ErrorCode::Unauthorized, message));
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn status(State(keeper): State<Arc<Keeper>>) -> Response {
    json(&keeper.status())
}

async fn stage(State(keeper): State<Arc<Keeper>>, request: Request) -> Response {
    match read::<StageOrder>(request).await {
        Ok(order) => told(&keeper, keeper.stage(order.record)),
        Err(failure) => refuse(failure),
    }
}

async fn swap(State(keeper): State<Arc<Keeper>>, request: Request) -> Response {
    match read::<SwapOrder>(request).await {
        Ok(order) => told(&keeper, keeper.swap(order)),
        Err(failure) => refuse(failure),
    }
}

async fn revert(State(keeper): State<Arc<Keeper>>) -> Response {
    match keeper.revert() {
        Some(taken) => told(&keeper, taken),
        None => {
            let message = "This server keeps no previous model; order a swap to the model wanted.";
            refuse(Failure::new(ErrorCode::NoPreviousModel, message))
        }
    }
}

async fn free(State(keeper): State<Arc<Keeper>>) -> Response {
    told(&keeper, keeper.free())
}

async fn not_found() -> Response {
    let message = format!(
        "No such path; there are GET {STATUS_PATH}, and POST {STAGE_PATH}, {SWAP_PATH}, {REVERT_PATH} and {FREE_PATH}."
    );
    refuse(Failure::new(ErrorCode::NotFound, message))
}

async fn wrong_method() -> Response {
    let message = "This path does not take this method; the `allow` header names those it takes.";
    refuse(Failure::new(ErrorCode::MethodNotAllowed, message))
}

async fn read<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Failure> {
    let (parts, body) = request.into_parts();
    let body = read_json_body(&parts.headers, body, &BODY).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Failure::new(
            ErrorCode::InvalidJson,
            format!("The body is not an order that this server knows: {error}."),
        )
    })
}

fn told(keeper: &Keeper, taken: Taken) -> Response {
    let mut response = json(&keeper.status());
    if taken == Taken::Begun {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    response
}

fn refuse(failure: Failure) -> Response {
    failure.response(TraceParent::new_root(false).trace_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_that_was_hashed_is_right() {
        // sha256 of "abc".
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let hash: TokenHash = hash.parse().unwrap();
        assert!(hash.is_of("abc"));
        assert!(!hash.is_of("abd") && !hash.is_of(""));
        assert_eq!(format!("{hash:?}"), "TokenHash");
    }

    #[test]
    fn a_hash_is_64_digits() {
        for bad in ["", "ba78", &"g".repeat(64), &"a".repeat(66)] {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad}");
        }
    }
}
