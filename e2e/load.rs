//! An open-loop load: requests are sent when the schedule says, whether or not
//! those before them are answered, and latency counts from that time. A closed
//! loop would send less the slower the answers are, and so hide the slowness.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

/// Longest that an answer, or more of it, is waited for, as proxies and libraries
/// count it.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);

/// One request of a schedule.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// When it is sent, from the start.
    pub(crate) at: Duration,
    /// What is to be spoken.
    pub(crate) text: String,
    /// The caller's API key, where the fleet asks for one.
    pub(crate) key: Option<&'static str>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Audio, to its end.
    Spoken { degraded: Option<String>, truncated: bool },
    /// A refusal for want of room, or for the request's own fault: 4xx, or 503
    /// with `Retry-After`.
    Refused { status: u16 },
    /// Any other error answer.
    Failed { status: u16, code: String },
    /// No answer, or one that broke off.
    Broken(String),
}

/// One request and its times.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// When it should have been sent.
    pub(crate) at: Duration,
    /// From then to the first byte of the answer's body, or of its error.
    pub(crate) first: Duration,
    /// From then to the end.
    pub(crate) total: Duration,
    /// Length of the speech that came, in seconds.
    pub(crate) audio: f64,
    /// When which part of it came, from the start, in seconds of speech.
    pub(crate) pieces: Vec<(Duration, f64)>,
    pub(crate) outcome: Outcome,
}

/// Bytes of a second of bare samples: 16 bits, 24 kHz.
const BYTES_A_SECOND: f64 = 48_000.0;

/// Evenly spaced requests: `rate` a second, from `from` to `to`.
pub(crate) fn steady(from: f64, to: f64, rate: f64, mut text: impl FnMut() -> String) -> Vec<Shot> {
    let count = ((to - from) * rate) as usize;
    let at = |number: usize| Duration::from_secs_f64(from + number as f64 / rate);
    (0..count).map(|number| Shot { at: at(number), text: text(), key: None }).collect()
}

/// A client with a connection for each request, as many callers would have, so
/// that none sticks to one replica.
pub(crate) fn client() -> reqwest::Client {
    builder().pool_max_idle_per_host(0).build().unwrap()
}

/// A client that keeps its connections.
pub(crate) fn keeping_client() -> reqwest::Client {
    builder().build().unwrap()
}

fn builder() -> reqwest::ClientBuilder {
    // The client insists on a TLS provider even where nothing is encrypted; a
    // second call in the same process finds it there.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().read_timeout(CLIENT_TIMEOUT)
}

/// Sends the schedule to `url`, each request on a connection of its own, and
/// waits for every answer.
pub(crate) async fn run(url: &str, shots: Vec<Shot>) -> Vec<Sample> {
    shoot(client(), url, shots).await
}

/// The same on connections that are kept.
pub(crate) async fn run_keeping_connections(url: &str, shots: Vec<Shot>) -> Vec<Sample> {
    shoot(keeping_client(), url, shots).await
}

async fn shoot(client: reqwest::Client, url: &str, mut shots: Vec<Shot>) -> Vec<Sample> {
    shots.sort_by_key(|shot| shot.at);
    let start = Instant::now();
    let mut pending = FuturesUnordered::new();
    let mut samples = Vec::new();
    for shot in shots {
        let due = tokio::time::sleep_until(start + shot.at);
        tokio::pin!(due);
        loop {
            tokio::select! {
                () = &mut due => break,
                Some(sample) = pending.next(), if !pending.is_empty() => samples.push(sample),
            }
        }
        pending.push(send(client.clone(), format!("{url}/v1/audio/speech"), shot, start));
    }
    samples.extend(pending.collect::<Vec<_>>().await);
    samples
}

async fn send(client: reqwest::Client, url: String, shot: Shot, start: Instant) -> Sample {
    let intended = start + shot.at;
    let body = serde_json::json!({"input": shot.text, "response_format": "pcm"});
    let mut request = client.post(url).json(&body);
    if let Some(key) = shot.key {
        request = request.bearer_auth(key);
    }
    let (outcome, first, pieces) = match request.send().await {
        Ok(response) => judge(response).await,
        Err(error) => (Outcome::Broken(chain(&error)), Instant::now(), Vec::new()),
    };
    let pieces = if matches!(outcome, Outcome::Spoken { .. }) { pieces } else { Vec::new() };
    let pieces: Vec<(Duration, f64)> =
        pieces.into_iter().map(|(came, bytes)| (came - start, bytes as f64 / BYTES_A_SECOND)).collect();
    let audio = pieces.iter().map(|(_, seconds)| seconds).sum();
    Sample { at: shot.at, first: first - intended, total: Instant::now() - intended, audio, pieces, outcome }
}

/// What an answer is, when its body began, and when how many bytes of audio came.
async fn judge(response: reqwest::Response) -> (Outcome, Instant, Vec<(Instant, usize)>) {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = response.bytes_stream();
    let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
    let mut first = None;
    while let Some(piece) = body.next().await {
        first.get_or_insert_with(Instant::now);
        match piece {
            Ok(piece) if status == 200 => pieces.push((Instant::now(), piece.len())),
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (Outcome::Broken(chain(&error)), Instant::now(), pieces),
        }
    }
    let code = || {
        let body: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        body.and_then(|body| body["error"]["error_code"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    let outcome = match status {
        200 => {
            Outcome::Spoken { degraded: text("x-tts-degraded"), truncated: text("x-tts-truncated").is_some() }
        }
        400..500 => Outcome::Refused { status },
        503 if headers.contains_key("retry-after") => Outcome::Refused { status },
        status => Outcome::Failed { status, code: code() },
    };
    (outcome, first.unwrap_or_else(Instant::now), pieces)
}

impl Sample {
    /// How it failed, if it did, and when it had been sent.
    pub(crate) fn failure(&self) -> Option<String> {
        let how = match &self.outcome {
            Outcome::Failed { status, code } => format!("{status} {code}"),
            Outcome::Broken(why) => why.clone(),
            Outcome::Spoken { .. } | Outcome::Refused { .. } => return None,
        };
        Some(format!("{:.1} s: {how}", self.at.as_secs_f64()))
    }

    /// Speech that came between two times from the start, in seconds.
    pub(crate) fn came(&self, from: f64, to: f64) -> f64 {
        let is_within = |came: &Duration| (from..to).contains(&came.as_secs_f64());
        self.pieces.iter().filter(|(came, _)| is_within(came)).map(|(_, seconds)| seconds).sum()
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let chain: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    chain.join(": ")
}

/// The value below which `percent` of the sorted values lie.
pub(crate) fn percentile(values: &mut [Duration], percent: f64) -> Duration {
    values.sort_unstable();
    let place = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or_default()
}
