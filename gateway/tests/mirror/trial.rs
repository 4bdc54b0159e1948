//! A fleet whose main pool speaks, with a candidate and a judge beside it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
    response::Response,
};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use ttsfleet_wire::{
    judge::Pair,
    route::{MirrorRoute, RouteTable},
};

use crate::support::{Front, audio, patient, pod};

pub(crate) const CANDIDATE: &str = "narrator-main-shadow";
pub(crate) const JUDGE: &str = "narrator-main-judge";

pub(crate) fn mirror() -> MirrorRoute {
    MirrorRoute {
        pool: "main".to_owned(),
        service: CANDIDATE.to_owned(),
        judge: JUDGE.to_owned(),
        percent: 100,
        timeout_ms: 30_000,
        max_bytes: 1 << 20,
        concurrency: 4,
    }
}

pub(crate) fn hello() -> Value {
    json!({"input": "Hello.", "response_format": "wav"})
}

/// A fleet whose main pool speaks, with a mirror and a judge.
pub(crate) struct Trial {
    pub(crate) front: Front,
    pub(crate) pairs: mpsc::UnboundedReceiver<Pair>,
    /// What the judge answers.
    pub(crate) judges: Arc<AtomicU16>,
}

impl Trial {
    pub(crate) async fn start(mirror: MirrorRoute, main: SocketAddr, candidate: SocketAddr) -> Self {
        let front = Front::start(RouteTable { mirrors: vec![mirror], ..patient() }).await;
        let (sender, pairs) = mpsc::unbounded_channel();
        let judges = Arc::new(AtomicU16::new(202));
        let says = Arc::clone(&judges);
        let (judge, _) = pod(move |(_, body)| {
            sender.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(says.load(Ordering::SeqCst)).unwrap();
            async { response }
        })
        .await;
        front.pods("main", &[main]);
        front.beside(CANDIDATE, &[candidate]);
        front.beside(JUDGE, &[judge]);
        Self { front, pairs, judges }
    }

    /// A caller that takes all of its answer.
    pub(crate) async fn call(&self) {
        let response = self.front.speak(&hello()).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    }

    /// How many copies ended so; in any way, if none is named.
    pub(crate) fn mirrored(&self, outcome: &str) -> usize {
        let line = format!(r#"mirrored_total{{pool="main",outcome="{outcome}"#);
        let metrics = self.front.gateway.metrics.encode().unwrap();
        let lines = metrics.lines().filter(|text| text.contains(&line));
        lines.map(|text| text.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    }

    pub(crate) async fn until(&self, outcome: &str, times: usize) {
        let count = async {
            while self.mirrored(outcome) < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let counted = tokio::time::timeout(Duration::from_secs(20), count).await;
        assert!(counted.is_ok(), "{}", self.front.gateway.metrics.encode().unwrap());
        assert_eq!(self.mirrored(outcome), times);
    }

    /// Calls until a copy ends so.
    pub(crate) async fn call_until(&self, outcome: &str) {
        self.repeat_until(outcome, async || self.call().await).await;
    }

    /// The same with any call. On a busy machine a caller or the stable model may
    /// seem slow at first, but nothing else may happen.
    pub(crate) async fn repeat_until(&self, outcome: &str, call: impl AsyncFn()) {
        while self.mirrored(outcome) == 0 {
            let others = self.mirrored("");
            call().await;
            self.until("", others + 1).await;
            let slow = self.mirrored("caller-slow") + self.mirrored("too-long");
            let as_wanted = self.mirrored(outcome) == 1 || slow == others + 1;
            assert!(as_wanted, "{}", self.front.gateway.metrics.encode().unwrap());
        }
    }
}

/// Audio that breaks off after its first piece.
pub(crate) fn breaking_off() -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let rest = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("killed"))
    });
    stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(rest)
}

/// A pod that says which model speaks.
pub(crate) async fn model(digest: &'static str, bytes: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    pod(move |_| async move {
        let mut response = audio(stream::iter([Ok(Bytes::from_static(bytes))]));
        for (name, value) in [("x-tts-digest", digest), ("x-tts-sample-rate", "24000")] {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await
}
