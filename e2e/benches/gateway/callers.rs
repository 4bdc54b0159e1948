//! Callers that cost next to nothing, so that the core they share with the pods
//! is not what is measured: one request, written and read as bytes.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
/// What tells that a connection ends with this answer.
const LAST: &[u8] = b"connection: close\r\n";

/// From when a request should have been sent to the end of its answer; or how it
/// failed.
pub(crate) type Latency = Result<Duration, Failed>;

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failed {
    /// It was never sent: so many before it still waited.
    Behind,
    /// There was no connection to be had.
    Connect(ErrorKind),
    /// A connection kept from an earlier request broke before any answer.
    Kept(ErrorKind),
    /// A new one did.
    New(ErrorKind),
    /// The answer was one of these: its status, and its code if it has one.
    Refused(String),
    /// The answer broke off.
    BrokenOff,
    /// The answer did not end.
    Late,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind => write!(f, "not sent, {MOST_CALLS} waited"),
            Self::Connect(kind) => write!(f, "no connection ({kind})"),
            Self::Kept(kind) => write!(f, "kept connection broke ({kind})"),
            Self::New(kind) => write!(f, "new connection broke ({kind})"),
            Self::Refused(what) => f.write_str(what),
            Self::BrokenOff => f.write_str("broke off"),
            Self::Late => write!(f, "no end within {} s", PATIENCE.as_secs()),
        }
    }
}

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
    pub(crate) async fn call(&self) -> Result<(), Failed> {
        let kept = self.idle.lock().unwrap().pop();
        let is_kept = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connect(self.address).await.map_err(|error| Failed::Connect(error.kind()))?,
        };
        let unanswered = |kind| if is_kept { Failed::Kept(kind) } else { Failed::New(kind) };
        connection.write_all(&self.request).await.map_err(|error| unanswered(error.kind()))?;
        let answer = tokio::time::timeout(PATIENCE, read_answer(&mut connection, unanswered)).await;
        if answer.map_err(|_| Failed::Late)?? {
            self.idle.lock().unwrap().push(connection);
        }
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
                calls.spawn(async move { callers.call().await.map(|()| due.elapsed()) });
            } else {
                latencies.push(Err(Failed::Behind));
            }
            while let Some(latency) = calls.try_join_next() {
                latencies.push(latency.unwrap());
            }
        }
        latencies.extend(calls.join_all().await);
        latencies
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let fresh = TcpStream::connect(address).await?;
    fresh.set_nodelay(true)?;
    Ok(fresh)
}

/// Reads to the end of the answer; whether the connection may be used again.
async fn read_answer(
    connection: &mut TcpStream,
    unanswered: impl Fn(ErrorKind) -> Failed,
) -> Result<bool, Failed> {
    let mut buffer = [0; 16 << 10];
    let mut kept = 0;
    let mut begun = false;
    let mut again = true;
    loop {
        let broken = |kind| if kept == 0 && !begun { unanswered(kind) } else { Failed::BrokenOff };
        let read = connection.read(&mut buffer[kept..]).await.map_err(|error| broken(error.kind()))?;
        if read == 0 {
            return Err(broken(ErrorKind::UnexpectedEof));
        }
        let filled = kept + read;
        if !begun && filled >= OK.len() {
            begun = true;
            if !buffer.starts_with(OK) {
                return Err(Failed::Refused(refusal(&buffer[..filled])));
            }
            // A head comes in one piece, as it is short.
            again = !buffer[..filled].windows(LAST.len()).any(|bytes| bytes.eq_ignore_ascii_case(LAST));
        }
        if buffer[..filled].ends_with(END) {
            return Ok(again);
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

/// Status and code of an error answer.
fn refusal(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let status = text.split_whitespace().nth(1).unwrap_or_default();
    let code = text.split("\"error_code\":\"").nth(1).and_then(|rest| rest.split('"').next());
    format!("{status} {}", code.unwrap_or_default()).trim_end().to_owned()
}
