//! A connection of its own for each question: the clock starts when it stands,
//! and no question profits from one before it.

use std::{net::SocketAddr, time::Duration};

use axum::http::{Method, Request, Response, Uri, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rand::seq::SliceRandom;
use tokio::net::{TcpStream, lookup_host};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to one of a Service's pods.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    /// Connects to one of the pods that the address stands for, to any of them.
    ///
    /// # Errors
    /// Why none can be reached, in words.
    pub(crate) async fn open(url: &str) -> Result<Self, String> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, open(url)).await;
        opened
            .unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())))
            .map_err(|why| format!("{url} cannot be reached: {why}"))
    }

    /// Asks a question, and waits for the head of its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        self.sender.send_request(request).await.map_err(|error| error.to_string())
    }
}

async fn open(url: &str) -> Result<Connection, String> {
    let uri: Uri = url.parse().map_err(|_| "it is no address".to_owned())?;
    let authority = uri.authority().ok_or_else(|| "it has no host".to_owned())?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((host, authority.port_u16().unwrap_or(80))).await;
    let mut pods: Vec<SocketAddr> = found.map_err(|error| error.to_string())?.collect();
    // A resolver may always name the same one first.
    pods.shuffle(&mut rand::rng());
    let stream = TcpStream::connect(&pods[..]).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (sender, driven) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the answer, or when nobody waits for that any more.
    tokio::spawn(driven);
    Ok(Connection { sender, authority: authority.to_string() })
}
