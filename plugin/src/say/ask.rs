//! One request to a gateway, over a stream that leads there.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use ttsfleet_wire::{error::ErrorBody, speech::SpeechRequest};

/// Longest wait for an answer to begin; a gateway gives up before.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer, in bytes: an hour of samples, and more.
const MOST_BYTES: usize = 512 << 20;

/// A text, spoken.
#[derive(Debug)]
pub(super) struct Answer {
    /// What is said of it.
    pub(super) headers: HeaderMap,
    /// The file.
    pub(super) audio: Vec<u8>,
}

/// Has a text spoken.
///
/// # Errors
/// The server's own message where it refuses; else what keeps it from answering.
pub(super) async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &SpeechRequest,
    key: Option<&str>,
) -> Result<Answer> {
    let request = post(request, key)?;
    let answered = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let answered = tokio::time::timeout(PATIENCE, answered).await.context("the gateway does not answer")?;
    let (head, body) = answered.context("cannot reach the gateway")?.into_parts();
    let body = Limited::new(body, MOST_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error)).context("the speech broke off")?.to_bytes();
    if !head.status.is_success() {
        return refused(&Response::from_parts(head, body));
    }
    Ok(Answer { headers: head.headers, audio: body.to_vec() })
}

fn post(request: &SpeechRequest, key: Option<&str>) -> Result<Request<Full<Bytes>>> {
    let body = serde_json::to_vec(request)?;
    let mut post = Request::post("/v1/audio/speech")
        .header(HOST, "ttsfleet")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body))?;
    if let Some(key) = key {
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).context("the API key is no header")?;
        value.set_sensitive(true);
        post.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(post)
}

fn refused(response: &Response<Bytes>) -> Result<Answer> {
    match serde_json::from_slice::<ErrorBody>(response.body()) {
        Ok(body) => bail!("{} ({})", body.error.message, body.error.error_code),
        Err(_) => bail!("the gateway answers {} without saying why", response.status()),
    }
}
