//! Two pretended pods that answer a second of audio at once and cost next to
//! nothing, so that what is measured is the proxy.

use std::net::Ipv4Addr;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::process::keep_to_second_core;

/// The pods' addresses. An API server takes none of 127.0.0.0/8 for a pod, so
/// that the loopback device gets two more.
pub(crate) const PODS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 254, 9, 1), Ipv4Addr::new(10, 254, 9, 2)];
/// The pods' ports: speech and health.
pub(crate) const PORTS: [u16; 2] = [8080, 8081];

/// A second of mp3 at 64 kbit/s, in the pieces that a pod would send.
const PIECES: usize = 3;
const PIECE: usize = 2_667;
/// In the head of a request that takes them.
const TRAILERS: &[u8] = b"te: trailers";
/// What ends a request's head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// The pods' addresses on the loopback device, until this value is gone.
pub(crate) struct Addresses(());

impl Addresses {
    fn add() -> Result<Self> {
        for pod in PODS {
            if !address("replace", pod)?.success() {
                bail!("cannot give the loopback device the address {pod}; are you root?");
            }
        }
        Ok(Self(()))
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        for pod in PODS {
            // It does no harm if it stays.
            let _ = address("del", pod);
        }
    }
}

fn address(verb: &str, pod: Ipv4Addr) -> Result<ExitStatus> {
    let address = format!("{pod}/32");
    let status = Command::new("ip").args(["address", verb, &address, "dev", "lo"]).status();
    status.context("cannot run ip")
}

/// Keeps to the second core and serves both pods from there, as long as the two
/// values live.
pub(crate) fn start() -> Result<(Runtime, Addresses)> {
    keep_to_second_core()?;
    let addresses = Addresses::add()?;
    // One thread for pods and callers is cheaper than two that wake each other.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.spawn(serve());
    Ok((runtime, addresses))
}

async fn serve() {
    for pod in PODS {
        let health = Router::new().route("/readyz", get(async || "ready\n"));
        let listener = TcpListener::bind((pod, PORTS[1])).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, health).await });
        let listener = TcpListener::bind((pod, PORTS[0])).await.unwrap();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                // It ends when the proxy closes it.
                tokio::spawn(speak(connection));
            }
        });
    }
}

/// Answers what comes on a connection, whatever it is; with a trailer, if it asks
/// for one, as pods do.
async fn speak(mut connection: TcpStream) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let (plain, trailed) = (pieces(b""), pieces(b"x-tts-audio-ms: 1000\r\n"));
    let mut request = Vec::with_capacity(4096);
    while read_request(&mut connection, &mut request).await? {
        let takes_trailers = request.windows(TRAILERS.len()).any(|part| part.eq_ignore_ascii_case(TRAILERS));
        for piece in if takes_trailers { &trailed } else { &plain } {
            connection.write_all(piece).await?;
        }
    }
    Ok(())
}

/// Reads the next request; false where there is none.
pub(crate) async fn read_request(connection: &mut TcpStream, request: &mut Vec<u8>) -> std::io::Result<bool> {
    request.clear();
    while !is_whole(request) {
        if connection.read_buf(request).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The answer as it is written: its head with the first piece, and its end with
/// the last.
fn pieces(trailer: &[u8]) -> Vec<Vec<u8>> {
    let chunk = [format!("{PIECE:x}\r\n").as_bytes(), &[0; PIECE], b"\r\n"].concat();
    let mut pieces = vec![chunk; PIECES];
    let digest = "0".repeat(64);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\nx-tts-digest: sha256:{digest}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    pieces[0].splice(0..0, head.bytes());
    pieces[PIECES - 1].extend([b"0\r\n", trailer, b"\r\n"].concat());
    pieces
}

/// Whether a request has come to its end.
fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(HEAD_END.len()).position(|four| four == HEAD_END) else { return false };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    request.len() >= head + HEAD_END.len() + length.unwrap_or(0)
}
