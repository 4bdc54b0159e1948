//! Has pods speak a text.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use ttsfleet_wire::{
    error::{ErrorBody, ErrorCode},
    headers,
    judge::MirroredRequest,
    speech::{SpeechRequest, VoiceChoice, VoiceList},
};

use crate::{connection::Connection, pair::Spoken};

/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest audio, in bytes: two minutes, which are listened to, at 48 kHz.
const MOST_AUDIO_BYTES: usize = 12 << 20;
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

/// Languages of the default voice.
///
/// # Errors
/// Why the pods do not say, in words.
pub(crate) async fn languages(url: &str) -> Result<Vec<String>, String> {
    let ask = async {
        let mut connection = Connection::open(url).await?;
        let response = connection.ask(Method::GET, "/v1/audio/voices", Bytes::new()).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_OTHER_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        match serde_json::from_slice::<VoiceList>(&body) {
            Ok(list) if status.is_success() => Ok(list),
            _ => Err(format!("{url} answers {status} instead of a list of voices")),
        }
    };
    let late = |_| format!("{url} does not answer within {} s", TIMEOUT.as_secs());
    let list = tokio::time::timeout(TIMEOUT, ask).await.map_err(late)??;
    Ok(list.voices.into_iter().next().map(|voice| voice.languages).unwrap_or_default())
}

/// Has a text spoken, as bare samples: of a WAV file a pod holds the beginning
/// back, and its first audio would tell nothing. One attempt, whatever comes of it.
pub(crate) async fn speak(url: &str, wanted: &MirroredRequest) -> Answer {
    let MirroredRequest { text, model, voice, speed, lexicon } = wanted.clone();
    let request = SpeechRequest {
        model,
        input: text,
        voice: voice.map(VoiceChoice::Name),
        response_format: Some("pcm".to_owned()),
        speed,
        sample_rate: None,
        stream_format: None,
        lexicon,
        ignored: Vec::new(),
    };
    let body = serde_json::to_vec(&request).unwrap_or_default().into();
    let mut connection = match Connection::open(url).await {
        Ok(connection) => connection,
        Err(why) => return Answer::Away(why),
    };
    let speak = async {
        let asked = Instant::now();
        match connection.ask(Method::POST, "/v1/audio/speech", body).await {
            Ok(response) => read(response, asked).await,
            // Whatever it was that the pod died of, it had taken the text.
            Err(_) => Answer::Failed,
        }
    };
    // A pod that takes a text and never ends has failed on it.
    tokio::time::timeout(TIMEOUT, speak).await.unwrap_or(Answer::Failed)
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
        no_words: text(&head.headers, headers::NO_WORDS) == Some("true"),
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

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use ttsfleet_wire::lexicon::Lexicon;

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
        let hello = MirroredRequest {
            text: "Hello.".to_owned(),
            model: None,
            voice: None,
            speed: None,
            lexicon: Lexicon::new(),
        };
        let answer = speak(&pod(["be", "gin"]), &hello).await;
        let Answer::Spoken { spoken, .. } = answer else { panic!("nothing is spoken") };
        assert_eq!((&spoken.audio[..], &spoken.content_type[..]), (&b"begin"[..], "audio/pcm"));
        assert_eq!(spoken.sample_rate, 8000);
        let (first, total) = (spoken.first_audio_ms, spoken.total_ms);
        assert!(0.0 < first && first < total, "{first}, {total}");
    }
}
