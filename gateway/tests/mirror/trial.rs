//! A fleet whose main pool speaks, with a judge beside it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, http::StatusCode, response::Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use ttsfleet_wire::route::{MirrorRoute, RouteTable};

use crate::support::{Front, patient, pod};

pub(crate) const JUDGE: &str = "narrator-main-judge";

pub(crate) fn mirror() -> MirrorRoute {
    MirrorRoute { pool: "main".to_owned(), judge: JUDGE.to_owned(), percent: 100 }
}

pub(crate) fn hello() -> Value {
    json!({"input": "Hello.", "response_format": "wav"})
}

/// A fleet whose main pool speaks, with a mirror and a judge.
pub(crate) struct Trial {
    pub(crate) front: Front,
    /// What the judge was told.
    pub(crate) told: mpsc::UnboundedReceiver<Value>,
    /// What the judge answers.
    pub(crate) judges: Arc<AtomicU16>,
}

impl Trial {
    pub(crate) async fn start(mirror: MirrorRoute, main: &[SocketAddr]) -> Self {
        Self::of(RouteTable { mirrors: vec![mirror], ..patient() }, main).await
    }

    pub(crate) async fn of(table: RouteTable, main: &[SocketAddr]) -> Self {
        let front = Front::start(table).await;
        let (sender, told) = mpsc::unbounded_channel();
        let judges = Arc::new(AtomicU16::new(202));
        let says = Arc::clone(&judges);
        let (judge, _) = pod(move |(_, body)| {
            sender.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(says.load(Ordering::SeqCst)).unwrap();
            async { response }
        })
        .await;
        front.pods("main", main);
        front.beside(JUDGE, &[judge]);
        Self { front, told, judges }
    }

    /// A caller that takes all of its answer.
    pub(crate) async fn call(&self) {
        let response = self.front.speak(&hello()).await;
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    }

    /// How many chosen requests ended so; in any way, if none is named.
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

    /// Whether any request was chosen.
    pub(crate) fn is_idle(&self) -> bool {
        self.mirrored("") == 0
    }
}
