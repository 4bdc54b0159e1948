//! Ports: where connections are accepted, and how many at once.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::server::conn::http1;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use crate::connection::{Connections, Opened, Routes, answer};

/// What one connection may hold in either direction: headers, and audio that the
/// client is slow to take.
const BUFFER: usize = 32 << 10;
/// Pause after the system refused us a connection, as when file handles run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a connection that waits for a place asks whether another one has
/// come to wait for nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Connections that the system keeps for us until we take them.
const BACKLOG: i32 = 1024;

/// All of this machine's addresses, those of IPv4 and of IPv6.
pub fn any_address(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

/// A bound port.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the port; port 0 is any free one. [`any_address`] means IPv4 alone
    /// where the system has nothing else.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match bind(address) {
            Err(error)
                if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse =>
            {
                bind((Ipv4Addr::UNSPECIFIED, address.port()).into()).map_err(|_| error)?
            }
            bound => bound?,
        };
        let socket = TcpListener::from_std(socket)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // Whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Answers connections until `stop` turns true or its sender is gone. Then it
/// closes the port, lets answers in progress end for at most `goodbye`, and
/// cuts off the rest.
pub async fn serve(
    listener: Listener,
    routes: impl Routes,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    goodbye: Duration,
) {
    let mut http = http1::Builder::new();
    // How long headers may take is watched over where it is known that they have begun.
    http.header_read_timeout(None).max_buf_size(BUFFER);
    let places = Arc::new(Semaphore::new(connections.max));
    let opened = Arc::<Opened>::default();
    let mut open = JoinSet::new();
    loop {
        let (socket, place) = tokio::select! {
            accepted = accept(&listener.socket, &places, &opened) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        // Forgets those that have ended.
        while open.try_join_next().is_some() {}
        let answered = answer(socket, http.clone(), routes.clone(), connections.clone(), &opened);
        open.spawn(async move {
            answered.await;
            drop(place);
        });
    }
    drop(listener);
    opened.end_all();
    _ = tokio::time::timeout(goodbye, async { while open.join_next().await.is_some() {} }).await;
}

/// The next connection, and its place among those that are open.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    opened: &Opened,
) -> (TcpStream, OwnedSemaphorePermit) {
    let socket = loop {
        match listener.accept().await {
            Ok((socket, _)) => break socket,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    };
    // Audio should leave when it is made, not when a packet is full.
    _ = socket.set_nodelay(true);
    loop {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return (socket, place);
        }
        opened.end_longest_waiting();
        let place = tokio::time::timeout(LOOK_AGAIN, Arc::clone(places).acquire_owned()).await;
        if let Ok(Ok(place)) = place {
            return (socket, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, response::Response, routing::get};
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
        start_with(Connections::patient(8), goodbye).await
    }

    async fn start_with(connections: Connections, goodbye: Duration) -> Running {
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
        let (stop, stopped) = watch::channel(false);
        let ended = tokio::spawn(serve(listener, routes, connections, stopped, goodbye));
        Running { address, stop, end, ended }
    }

    /// A client that has seen the beginning of its answer.
    async fn begin(address: SocketAddr) -> TcpStream {
        begun(address).await.0
    }

    /// The same, with what it has seen.
    async fn begun(address: SocketAddr) -> (TcpStream, String) {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"begin\r\n") {
            assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
        }
        (socket, String::from_utf8(seen).unwrap())
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

    /// A client that has its answer and keeps the connection.
    async fn kept(server: &Running) -> TcpStream {
        let mut socket = begin(server.address).await;
        server.end.notify_one();
        let mut seen = Vec::new();
        while !seen.ends_with(b"0\r\n\r\n") {
            assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
        }
        socket
    }

    #[tokio::test]
    async fn a_full_port_closes_the_connection_that_has_waited_longest() {
        let server = start_with(Connections::patient(2), Duration::ZERO).await;
        let idle = kept(&server).await;
        let busy = begin(server.address).await;
        // Not one answer could begin if the new one had to wait for its place.
        let new = begin(server.address).await;
        assert_eq!(rest(idle).await, "");
        for client in [busy, new] {
            server.end.notify_one();
            drop(client);
        }
    }

    #[tokio::test]
    async fn connections_without_a_request_keep_nobody_out() {
        let server = start_with(Connections::patient(2), Duration::ZERO).await;
        let mut silent = Vec::new();
        for _ in 0..20 {
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            socket.write_all(b"GET / HT").await.unwrap();
            silent.push(socket);
        }
        begin(server.address).await;
    }

    #[tokio::test]
    async fn a_connection_waits_longer_for_a_request_than_for_its_headers() {
        let (short, long) = (Duration::from_millis(50), Duration::from_secs(600));
        let bounds = Connections { header_timeout: short, idle_timeout: long, ..Connections::patient(8) };
        let server = start_with(bounds, Duration::ZERO).await;
        let mut idle = kept(&server).await;
        tokio::time::sleep(4 * short).await;
        idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        server.end.notify_one();
        let mut seen = Vec::new();
        while !seen.ends_with(b"0\r\n\r\n") {
            assert_ne!(idle.read_buf(&mut seen).await.unwrap(), 0);
        }
        idle.write_all(b"GET / HT").await.unwrap();
        assert_eq!(rest(idle).await, "", "half a head is not waited for");
    }

    #[tokio::test]
    async fn an_idle_connection_ends_when_its_time_is_up() {
        let short = Duration::from_millis(50);
        let bounds = Connections { idle_timeout: short, ..Connections::patient(8) };
        let bounds = Connections { header_timeout: short, ..bounds };
        let server = start_with(bounds, Duration::ZERO).await;
        let idle = kept(&server).await;
        assert_eq!(rest(idle).await, "");
    }

    #[tokio::test]
    async fn a_connection_of_some_age_is_told_with_its_last_answer_that_it_ends() {
        for (max_age, told) in [(Duration::from_secs(600), false), (Duration::ZERO, true)] {
            let server = start_with(Connections { max_age, ..Connections::patient(8) }, Duration::ZERO).await;
            let (mut socket, head) = begun(server.address).await;
            assert_eq!(head.contains("connection: close\r\n"), told, "{head}");
            server.end.notify_one();
            let mut seen = Vec::new();
            while !seen.ends_with(b"0\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
            }
            if told {
                assert_eq!(rest(socket).await, "", "and it does");
            }
        }
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let listener = Listener::bind(any_address(0)).await.unwrap();
        let port = listener.address().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        // Where there is no IPv6 there is nothing to be tried.
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        }
    }
}
