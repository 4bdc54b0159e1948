//! Has a pool's pods speak a text.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    headers,
    speech::{SpeechRequest, VoiceList},
};

use crate::pair::Spoken;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest audio, in bytes: minutes of it.
const MOST_AUDIO_BYTES: usize = 8 << 20;
/// Longest answer that is not audio.
const MOST_OTHER_BYTES: usize = 1 << 20;

/// What became of a text that a pod was to speak.
#[derive(Clone, PartialEq)]
pub(crate) enum Answer {
    /// It was spoken, by the model of this digest if the pod says so.
    Spoken {
        /// The digest.
        digest: Option<String>,
        /// The audio.
        spoken: Spoken,
    },
    /// The model failed on it.
    Failed,
    /// No pod took it, for this reason, which says nothing of the model.
    Away(String),
}

/// Speaks to pods by the address of their Service.
#[derive(Clone)]
pub(crate) struct Speaker(Client<HttpConnector, Full<Bytes>>);

impl Default for Speaker {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(15))
            .build(connector);
        Self(client)
    }
}

impl Speaker {
    /// Languages of the default voice.
    ///
    /// # Errors
    /// Why the pods do not say, in words.
    pub(crate) async fn languages(&self, url: &str) -> Result<Vec<String>, String> {
        let ask = async {
            let response = self.send(url, Method::GET, "/v1/audio/voices", Bytes::new()).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_OTHER_BYTES).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            match serde_json::from_slice::<VoiceList>(&body) {
                Ok(list) if status.is_success() => Ok(list),
                _ => Err(format!("{url} answers {status} instead of a list of voices")),
            }
        };
        let list = tokio::time::timeout(TIMEOUT, ask).await.map_err(|_| late(url))??;
        Ok(list.voices.into_iter().next().map(|voice| voice.languages).unwrap_or_default())
    }

    /// Has a text spoken with the default voice, as bare samples: of a WAV file a
    /// pod holds the beginning back, and its first audio would tell nothing.
    pub(crate) async fn speak(&self, url: &str, text: &str, speed: Option<f32>) -> Answer {
        let request = SpeechRequest {
            model: None,
            input: text.to_owned(),
            voice: None,
            response_format: Some("pcm".to_owned()),
            speed,
            stream_format: None,
            instructions: None,
        };
        let body = serde_json::to_vec(&request).unwrap_or_default().into();
        let speak = async {
            let asked = Instant::now();
            match self.send(url, Method::POST, "/v1/audio/speech", body).await {
                Ok(response) => read(response, asked).await,
                Err(why) => Answer::Away(why),
            }
        };
        // A pod that takes a text and never ends has failed on it.
        tokio::time::timeout(TIMEOUT, speak).await.unwrap_or(Answer::Failed)
    }

    async fn send(
        &self,
        url: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", url.trim_end_matches('/')))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        self.0.request(request).await.map_err(|error| {
            let error: &dyn std::error::Error = &error;
            let chain: Vec<String> =
                std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
            format!("{url} cannot be reached: {}", chain.join(": "))
        })
    }
}

async fn read(response: Response<Incoming>, asked: Instant) -> Answer {
    let (head, mut body) = response.into_parts();
    if !head.status.is_success() {
        return refusal(head.status, body).await;
    }
    let queued = Duration::from_millis(number(&head.headers, headers::QUEUE_MS));
    let since_asked = || asked.elapsed().saturating_sub(queued).as_secs_f64() * 1000.0;
    let mut audio = BytesMut::new();
    let mut first_audio_ms = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Answer::Failed };
        if let Ok(bytes) = frame.into_data() {
            if audio.len() + bytes.len() > MOST_AUDIO_BYTES {
                return Answer::Failed;
            }
            if !bytes.is_empty() {
                first_audio_ms.get_or_insert_with(since_asked);
            }
            audio.extend_from_slice(&bytes);
        }
    }
    let total_ms = since_asked();
    let spoken = Spoken {
        content_type: text(&head.headers, header::CONTENT_TYPE.as_str()).unwrap_or_default().to_owned(),
        sample_rate: u32::try_from(number(&head.headers, headers::SAMPLE_RATE)).unwrap_or_default(),
        audio: audio.into(),
        first_audio_ms: first_audio_ms.unwrap_or(total_ms),
        total_ms,
    };
    Answer::Spoken { digest: text(&head.headers, headers::DIGEST).map(str::to_owned), spoken }
}

/// A pod that is full, starting or stopping has not tried.
async fn refusal(status: StatusCode, body: Incoming) -> Answer {
    use ErrorCode::{Draining, ModelNotReady, SystemBusy, TooManyRequests};
    let bytes = Limited::new(body, MOST_OTHER_BYTES).collect().await;
    let told = bytes.ok().and_then(|bytes| serde_json::from_slice::<ErrorBody>(&bytes.to_bytes()).ok());
    let code = told.and_then(|told| ErrorCode::from_name(&told.error.error_code));
    match code {
        Some(code @ (Draining | ModelNotReady | SystemBusy | TooManyRequests)) => {
            Answer::Away(format!("a pod answers {}", code.entry().code))
        }
        None if status == StatusCode::SERVICE_UNAVAILABLE => Answer::Away(format!("a pod answers {status}")),
        _ => Answer::Failed,
    }
}

fn text<'a>(map: &'a HeaderMap, name: &str) -> Option<&'a str> {
    map.get(HeaderName::from_bytes(name.as_bytes()).ok()?)?.to_str().ok()
}

fn number(map: &HeaderMap, name: &str) -> u64 {
    text(map, name).and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn late(url: &str) -> String {
    format!("{url} does not answer within {} s", TIMEOUT.as_secs())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// The address of a pod that answers once, with these pieces.
    fn pod(pieces: [&'static str; 2]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\nx-tts-sample-rate: 8000\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            connection.write_all(head.as_bytes()).unwrap();
            for piece in pieces {
                write!(connection, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
            }
            connection.write_all(b"0\r\n\r\n").unwrap();
        });
        url
    }

    #[tokio::test]
    async fn the_first_audio_is_noted_when_it_comes_and_not_at_the_end() {
        let answer = Speaker::default().speak(&pod(["be", "gin"]), "Hello.", None).await;
        let Answer::Spoken { spoken, .. } = answer else { panic!("nothing is spoken") };
        assert_eq!((&spoken.audio[..], &spoken.content_type[..]), (&b"begin"[..], "audio/pcm"));
        assert_eq!(spoken.sample_rate, 8000);
        let (first, total) = (spoken.first_audio_ms, spoken.total_ms);
        assert!(0.0 < first && first < total, "{first}, {total}");
    }
}
