//! How the operator talks to pods: their admin API, and the judge.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, Request};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ttsfleet_wire::admin::{FREE_PATH, ModelStatus, REVERT_PATH, STAGE_PATH, STATUS_PATH, StageOrder};
use ttsfleet_wire::admin::{SWAP_PATH, SwapOrder};
use ttsfleet_wire::judge::{self, Report};
use ttsfleet_wire::pod::ADMIN_PORT;

use crate::rollout::Verb;

/// A pod answers at once; one that does not holds a pass up for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer read.
const MOST_BYTES: usize = 1 << 20;
/// Longest piece of an answer that is quoted.
const LONGEST_QUOTE: usize = 300;
/// How long a connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(10);

/// A pod to talk to.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: IpAddr,
    /// The bearer token of its admin API.
    pub token: String,
}

impl Target {
    fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address, ADMIN_PORT)
    }
}

/// Why a pod gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TalkError {
    /// Nothing came back, or not in time.
    #[error("it does not answer: {0}")]
    Silent(String),
    /// It refuses, in its own words.
    #[error("it answers {0}: {1}")]
    Refused(u16, String),
    /// It says something else than agreed.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

/// What a question comes to.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, TalkError>>;

/// The pods, as the operator talks to them. Every call ends within two seconds.
pub trait Pods: Send + Sync {
    /// What a server says of its models.
    fn status<'a>(&'a self, pod: &'a Target) -> Answer<'a, ModelStatus>;
    /// Has a server do something, and gives what it says of its models then.
    /// [`Verb::Recycle`] is nothing to ask of a pod, and is refused.
    fn tell<'a>(&'a self, pod: &'a Target, verb: &'a Verb) -> Answer<'a, ModelStatus>;
    /// What a judge has measured.
    fn report<'a>(&'a self, judge: &'a Target) -> Answer<'a, Report>;
}

/// The pods over the network.
#[derive(Clone)]
pub struct Network {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Network {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(PATIENCE));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(connector);
        Self { client }
    }
}

impl Pods for Network {
    fn status<'a>(&'a self, pod: &'a Target) -> Answer<'a, ModelStatus> {
        Box::pin(self.ask(pod.admin(), Some(&pod.token), Method::GET, STATUS_PATH, Bytes::new()))
    }

    fn tell<'a>(&'a self, pod: &'a Target, verb: &'a Verb) -> Answer<'a, ModelStatus> {
        let order = match verb {
            Verb::Stage(record) => {
                json(&StageOrder { record: record.clone() }).map(|body| (STAGE_PATH, body))
            }
            Verb::Swap(record, headroom) => {
                let order = SwapOrder { record: record.clone(), headroom: *headroom };
                json(&order).map(|body| (SWAP_PATH, body))
            }
            Verb::Revert => Ok((REVERT_PATH, Bytes::new())),
            Verb::Free => Ok((FREE_PATH, Bytes::new())),
            Verb::Recycle(_) => Err(TalkError::Refused(400, "a pod does not delete itself".to_owned())),
        };
        match order {
            Ok((path, body)) => Box::pin(self.ask(pod.admin(), Some(&pod.token), Method::POST, path, body)),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn report<'a>(&'a self, judge: &'a Target) -> Answer<'a, Report> {
        // A judge has nothing to command.
        let address = SocketAddr::new(judge.address, judge::PORT);
        Box::pin(self.ask(address, None, Method::GET, judge::REPORT_PATH, Bytes::new()))
    }
}

fn json(order: &impl Serialize) -> Result<Bytes, TalkError> {
    serde_json::to_vec(order).map(Bytes::from).map_err(|error| TalkError::Unreadable(error.to_string()))
}

impl Network {
    async fn ask<T: DeserializeOwned>(
        &self,
        address: SocketAddr,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, TalkError> {
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body));
        let request = request.map_err(|error| TalkError::Unreadable(error.to_string()))?;
        let silent = |error: &dyn std::error::Error| TalkError::Silent(innermost(error));
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| silent(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
            let body = body.map_err(|error| silent(error.as_ref()))?.to_bytes();
            if !status.is_success() {
                return Err(TalkError::Refused(status.as_u16(), quote(&body)));
            }
            serde_json::from_slice(&body).map_err(|error| TalkError::Unreadable(error.to_string()))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(TalkError::Silent(format!("not within {} s", PATIENCE.as_secs()))),
        }
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().take(LONGEST_QUOTE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
