//! Callers that cost next to nothing, so that the core they share with the pods
//! is not what is measured: one request, written and read as bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is to be spoken.
pub(crate) const TEXT: &str = "Please call me back tomorrow morning before nine.";
/// Longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Calls that wait at once, each with a connection; a proxy that is so far
/// behind fails the next one.
const MOST_CALLS: usize = 2000;
/// What ends a body in chunks. The audio is silence and does not contain it.
const END: &[u8] = b"\r\n0\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 ";

/// From when a request should have been sent to the end of its answer; none if
/// it failed.
pub(crate) type Latency = Option<Duration>;

/// Callers of one address, on connections that are kept.
#[derive(Clone)]
pub(crate) struct Callers {
    address: SocketAddr,
    request: Arc<[u8]>,
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

impl Callers {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let body = serde_json::json!({"input": TEXT, "response_format": "mp3"}).to_string();
        let request = format!(
            "POST /v1/audio/speech HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { address, request: request.into_bytes().into(), idle: Arc::default() }
    }

    /// One request, to the end of its answer.
    pub(crate) async fn call(&self) -> Result<()> {
        let kept = self.idle.lock().unwrap().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let fresh = TcpStream::connect(self.address).await?;
                fresh.set_nodelay(true)?;
                fresh
            }
        };
        connection.write_all(&self.request).await?;
        tokio::time::timeout(PATIENCE, read_answer(&mut connection)).await.context("no answer")??;
        self.idle.lock().unwrap().push(connection);
        Ok(())
    }

    /// Sends `rate` requests a second for so long, each at its time whether or
    /// not those before it are answered.
    pub(crate) async fn shoot(&self, rate: f64, length: Duration) -> Vec<Latency> {
        let start = Instant::now();
        let mut calls = JoinSet::new();
        let mut latencies = Vec::new();
        for number in 0..(length.as_secs_f64() * rate) as usize {
            let due = start + Duration::from_secs_f64(number as f64 / rate);
            // A timer would be up to a millisecond late.
            while Instant::now() < due {
                tokio::task::yield_now().await;
            }
            if calls.len() < MOST_CALLS {
                let callers = self.clone();
                calls.spawn(async move { callers.call().await.ok().map(|()| due.elapsed()) });
            } else {
                latencies.push(None);
            }
            while let Some(latency) = calls.try_join_next() {
                latencies.push(latency.unwrap());
            }
        }
        latencies.extend(calls.join_all().await);
        latencies
    }
}

async fn read_answer(connection: &mut TcpStream) -> Result<()> {
    let mut buffer = [0; 16 << 10];
    let mut kept = 0;
    let mut begun = false;
    loop {
        let read = connection.read(&mut buffer[kept..]).await?;
        let filled = kept + read;
        if read == 0 {
            bail!("the answer broke off");
        }
        if !begun && filled >= OK.len() {
            begun = true;
            if !buffer.starts_with(OK) {
                bail!("{}", String::from_utf8_lossy(&buffer[..filled.min(200)]));
            }
        }
        if buffer[..filled].ends_with(END) {
            return Ok(());
        }
        if begun {
            // The end may lie across two pieces.
            kept = filled.min(END.len());
            buffer.copy_within(filled - kept..filled, 0);
        } else {
            kept = filled;
        }
    }
}
