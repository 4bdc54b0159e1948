//! Connections: how many, and how patient we are with them.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;

/// What one connection may hold in either direction: headers, and audio that the
/// client is slow to take.
const BUFFER: usize = 32 << 10;
/// Pause after the system refused us a connection, as when file handles run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Connections open at once on one port; further ones wait.
    pub max: usize,
    /// How long a client may take to send its headers, or its next request.
    pub header_timeout: Duration,
    /// How long a client may take none of the answer.
    pub write_timeout: Duration,
}

/// A bound port.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the port; port 0 is any free one.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers connections until `stop` turns true or its sender is gone. Then it
/// closes the port, lets answers in progress end for at most `goodbye`, and
/// cuts off the rest.
pub async fn serve(
    listener: Listener,
    routes: Router,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    goodbye: Duration,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(connections.header_timeout).max_buf_size(BUFFER);
    let places = Arc::new(Semaphore::new(connections.max));
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.socket.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accept => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        // Forgets those that have ended.
        while open.try_join_next().is_some() {}
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Audio should leave when it is made, not when a packet is full.
        _ = socket.set_nodelay(true);
        let mut socket = TimeoutStream::new(socket);
        socket.set_write_timeout(Some(connections.write_timeout));
        let service = TowerToHyperService::new(routes.clone());
        let connection = http.serve_connection(TokioIo::new(Box::pin(socket)), service);
        let connection = graceful.watch(connection);
        open.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    _ = tokio::time::timeout(goodbye, graceful.shutdown()).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::{body::Body, response::Response, routing::get};
    use bytes::Bytes;
    use futures::{StreamExt, stream};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::Notify,
        task::JoinHandle,
    };

    use super::*;

    /// A server whose answers begin at once and end when told.
    struct Running {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        end: Arc<Notify>,
        ended: JoinHandle<()>,
    }

    async fn start(goodbye: Duration) -> Running {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.address();
        let end = Arc::new(Notify::new());
        let told = Arc::clone(&end);
        let answer = async move || {
            let rest = stream::once(async move {
                told.notified().await;
                Ok::<_, axum::Error>(Bytes::from_static(b"end"))
            });
            Response::new(Body::from_stream(stream::iter([Ok(Bytes::from_static(b"begin"))]).chain(rest)))
        };
        let routes = Router::new().route("/", get(answer));
        let patience = Duration::from_secs(30);
        let connections = Connections { max: 8, header_timeout: patience, write_timeout: patience };
        let (stop, stopped) = watch::channel(false);
        let ended = tokio::spawn(serve(listener, routes, connections, stopped, goodbye));
        Running { address, stop, end, ended }
    }

    /// A client that has seen the beginning of its answer.
    async fn begin(address: SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"begin\r\n") {
            assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
        }
        socket
    }

    async fn rest(mut socket: TcpStream) -> String {
        let mut rest = String::new();
        // A reset is an end like any other.
        _ = socket.read_to_string(&mut rest).await;
        rest
    }

    #[tokio::test]
    async fn on_stop_the_port_closes_and_answers_in_progress_end() {
        let server = start(Duration::from_secs(30)).await;
        let client = begin(server.address).await;
        server.stop.send_replace(true);
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!server.ended.is_finished());
        server.end.notify_one();
        assert!(rest(client).await.ends_with("end\r\n0\r\n\r\n"));
        server.ended.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_cut_off() {
        let server = start(Duration::from_millis(50)).await;
        let client = begin(server.address).await;
        server.stop.send_replace(true);
        server.ended.await.unwrap();
        assert_eq!(rest(client).await, "");
    }
}
