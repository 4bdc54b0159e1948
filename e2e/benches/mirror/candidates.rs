//! The candidates beside the pods, and a judge that takes every pair.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::{self, PODS};
use crate::ours;

/// The share of requests that are put to a candidate, as by default.
const PERCENT: u32 = 5;
/// Before each piece of a slow candidate's audio.
const SLOW: Duration = Duration::from_secs(1);
const JUDGE: &str = "judge";
const JUDGE_PORT: u16 = 8089;
const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// What is measured by itself.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    candidate: Option<Candidate>,
}

/// A candidate's only pod.
#[derive(Clone, Copy)]
struct Candidate {
    service: &'static str,
    port: u16,
    manner: Manner,
}

#[derive(Clone, Copy)]
enum Manner {
    /// As the other pods.
    Speaks,
    /// Listed and not there.
    Gone,
    /// Takes connections and says nothing.
    Hangs,
    /// Speaks, a second late at every piece.
    Slow,
}

/// The first is what the others are compared with.
pub(crate) const CASES: [Case; 6] = [
    Case { name: "no candidate", candidate: None },
    Case { name: "no candidate, again", candidate: None },
    case("one that speaks", "speaks", 8082, Manner::Speaks),
    case("one that is gone", "gone", 8083, Manner::Gone),
    case("one that hangs", "hangs", 8084, Manner::Hangs),
    case("one that is slow", "slow", 8085, Manner::Slow),
];

const fn case(name: &'static str, service: &'static str, port: u16, manner: Manner) -> Case {
    Case { name, candidate: Some(Candidate { service, port, manner }) }
}

impl Case {
    /// The name of its route.
    pub(crate) fn route(&self) -> String {
        format!("bench-{}", self.candidate.map_or("alone", |candidate| candidate.service))
    }
}

impl Candidate {
    /// What a gateway is told of it. The bounds are those that the operator sets.
    fn mirror(self) -> Value {
        json!({
            "pool": "main", "service": self.service, "judge": JUDGE, "percent": PERCENT,
            "timeoutMs": 30_000, "maxBytes": 4 << 20, "concurrency": 4,
        })
    }
}

/// What the gateways are told.
pub(crate) fn objects() -> Vec<Value> {
    let mut objects = vec![ours::pods(), ours::slice(JUDGE, &PODS[..1], JUDGE_PORT)];
    for case in &CASES {
        let mirrors: Vec<Value> = case.candidate.map(Candidate::mirror).into_iter().collect();
        objects.push(ours::route(&case.route(), &mirrors));
        objects.extend(case.candidate.map(|one| ours::slice(one.service, &PODS[..1], one.port)));
    }
    objects
}

/// Serves the candidates and the judge, for ever.
pub(crate) async fn serve() {
    for candidate in CASES.iter().filter_map(|case| case.candidate) {
        match candidate.manner {
            Manner::Gone => {}
            Manner::Speaks => {
                listen(candidate.port, |connection| backend::speak(connection, Duration::ZERO)).await
            }
            Manner::Hangs => listen(candidate.port, hang).await,
            Manner::Slow => listen(candidate.port, |connection| backend::speak(connection, SLOW)).await,
        }
    }
    listen(JUDGE_PORT, take_pairs).await;
}

async fn listen<F>(port: u16, answer: fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(SocketAddr::from((PODS[0], port))).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(connection));
        }
    });
}

async fn hang(mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    connection.read_to_end(&mut request).await.map(drop)
}

async fn take_pairs(mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while backend::read_request(&mut connection, &mut request).await? {
        connection.write_all(TAKEN).await?;
    }
    Ok(())
}

/// What became of the requests that a gateway chose, by its own count.
pub(crate) fn mirrored(health_port: u16) -> Result<BTreeMap<String, u64>> {
    let url = format!("http://127.0.0.1:{health_port}/metrics");
    let text = ureq::get(url).call()?.into_body().read_to_string()?;
    let counted = text.lines().filter(|line| line.contains("mirrored_total{"));
    let counted = counted.map(|line| {
        let (_, rest) = line.split_once("outcome=\"").context("a count without its outcome")?;
        let (outcome, _) = rest.split_once('"').context("a count without its outcome")?;
        let (_, count) = line.rsplit_once(' ').context("a line without a count")?;
        Ok((outcome.to_owned(), count.parse()?))
    });
    counted.collect()
}
