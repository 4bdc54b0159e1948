//! Reading a request's body.

use std::{pin::pin, time::Duration};

use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use ttsfleet_wire::error::ErrorCode;

use crate::Failure;

/// How much of a body is read, and for how long.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Longest body read, in bytes.
    pub max_bytes: usize,
    /// How long a client may take to send it.
    pub timeout: Duration,
}

/// Reads a JSON body without looking into it.
///
/// # Errors
/// [`Failure`] when the body is not declared as JSON, is too large, or does not
/// arrive whole and in time.
pub async fn read_json_body(
    headers: &HeaderMap,
    body: impl Body<Data = Bytes>,
    limits: &BodyLimits,
) -> Result<Bytes, Failure> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = declared.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "Send the body as JSON, with the header `content-type: application/json`.";
        return Err(Failure::new(ErrorCode::UnsupportedMediaType, message));
    }
    let read = tokio::time::timeout(limits.timeout, collect(body, limits.max_bytes));
    read.await.unwrap_or_else(|_| {
        let seconds = limits.timeout.as_secs();
        let message = format!("The body did not arrive within {seconds} s.");
        Err(Failure::new(ErrorCode::RequestTimeout, message))
    })
}

async fn collect(body: impl Body<Data = Bytes>, most: usize) -> Result<Bytes, Failure> {
    let mut body = pin!(body);
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::new(ErrorCode::InvalidJson, "The body ended early."))?;
        let Ok(piece) = frame.into_data() else { continue };
        if collected.len() + piece.len() > most {
            let message = format!("The body is larger than {most} bytes.");
            return Err(Failure::new(ErrorCode::BodyTooLarge, message));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.freeze())
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::{body::Body, http::HeaderValue};
    use futures::stream;

    use super::*;

    const LIMITS: BodyLimits = BodyLimits { max_bytes: 4, timeout: Duration::from_secs(10) };

    async fn read(kind: &'static str, body: Body) -> Result<Bytes, ErrorCode> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        read_json_body(&headers, body, &LIMITS).await.map_err(|failure| failure.code)
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let kind = "Application/JSON; charset=utf-8";
        assert_eq!(read(kind, Body::from("1234")).await.unwrap(), "1234");
        assert_eq!(read(kind, Body::from("12345")).await, Err(ErrorCode::BodyTooLarge));
    }

    #[tokio::test]
    async fn what_is_not_declared_as_json_is_not_read() {
        let endless = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        assert_eq!(read("text/plain", endless).await, Err(ErrorCode::UnsupportedMediaType));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let endless = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        assert_eq!(read("application/json", endless).await, Err(ErrorCode::RequestTimeout));
    }

    #[tokio::test]
    async fn a_body_cut_short_is_no_body() {
        let parts = [Ok(Bytes::from_static(b"{")), Err(io::Error::other("reset"))];
        let cut = Body::from_stream(stream::iter(parts));
        assert_eq!(read("application/json", cut).await, Err(ErrorCode::InvalidJson));
    }
}
