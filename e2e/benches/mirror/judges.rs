//! The judges beside the pods.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::{self, PODS};
use crate::ours;

/// The share of requests that are passed on, as by default.
const PERCENT: u32 = 5;
/// Before each answer of a slow judge.
const SLOW: Duration = Duration::from_secs(1);
const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// What is measured by itself.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    judge: Option<Judge>,
}

/// A judge's only pod.
#[derive(Clone, Copy)]
struct Judge {
    service: &'static str,
    port: u16,
    manner: Manner,
}

#[derive(Clone, Copy)]
enum Manner {
    /// Takes every request.
    Takes,
    /// Listed and not there.
    Gone,
    /// Takes connections and says nothing.
    Hangs,
    /// Takes every request, a second late.
    Slow,
}

/// The first is what the others are compared with.
pub(crate) const CASES: [Case; 6] = [
    Case { name: "no judge", judge: None },
    Case { name: "no judge, again", judge: None },
    case("one that takes all", "takes", 8082, Manner::Takes),
    case("one that is gone", "gone", 8083, Manner::Gone),
    case("one that hangs", "hangs", 8084, Manner::Hangs),
    case("one that is slow", "slow", 8085, Manner::Slow),
];

const fn case(name: &'static str, service: &'static str, port: u16, manner: Manner) -> Case {
    Case { name, judge: Some(Judge { service, port, manner }) }
}

impl Case {
    /// The name of its route.
    pub(crate) fn route(&self) -> String {
        format!("bench-{}", self.judge.map_or("alone", |judge| judge.service))
    }
}

impl Judge {
    /// What a gateway is told of it.
    fn mirror(self) -> Value {
        json!({"pool": "main", "judge": self.service, "percent": PERCENT})
    }
}

/// What the gateways are told.
pub(crate) fn objects() -> Vec<Value> {
    let mut objects = vec![ours::pods()];
    for case in &CASES {
        let mirrors: Vec<Value> = case.judge.map(Judge::mirror).into_iter().collect();
        objects.push(ours::route(&case.route(), &mirrors));
        objects.extend(case.judge.map(|one| ours::slice(one.service, &PODS[..1], one.port)));
    }
    objects
}

/// Serves the judges, for ever.
pub(crate) async fn serve() {
    for judge in CASES.iter().filter_map(|case| case.judge) {
        match judge.manner {
            Manner::Gone => {}
            Manner::Takes => listen(judge.port, |connection| take_requests(connection, Duration::ZERO)).await,
            Manner::Hangs => listen(judge.port, hang).await,
            Manner::Slow => listen(judge.port, |connection| take_requests(connection, SLOW)).await,
        }
    }
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

async fn take_requests(mut connection: TcpStream, late: Duration) -> std::io::Result<()> {
    let mut request = Vec::new();
    while backend::read_request(&mut connection, &mut request).await? {
        tokio::time::sleep(late).await;
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
