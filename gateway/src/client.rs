//! HTTP/1.1 to the pods. A connection has no task of its own: whoever waits for
//! the answer moves it on, so that no byte of audio changes tasks on its way, and
//! nothing is read that nobody has asked for.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use axum::{
    body::{Bytes, HttpBody},
    http::{HeaderValue, Request, Response, header},
};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Less than a pod keeps an idle connection, so that it is we who close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections kept to one pod; what a burst leaves beyond that is closed.
const MOST_IDLE: usize = 64;
/// What is read ahead of a caller that is slow to take it.
const READ_AHEAD: usize = 32 << 10;

/// The client that calls share.
#[derive(Clone, Default)]
pub(crate) struct Client(Arc<Mutex<Idle>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// There was no connection to be had.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// A connection that stands.
struct Connection {
    /// What requests on it name as their host.
    host: HeaderValue,
    sender: http1::SendRequest<Full<Bytes>>,
    /// None when it is over: whoever still waits for something then hears so.
    driver: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

/// Connections without a request, by pod, those used last at the end.
#[derive(Default)]
struct Idle {
    by_pod: HashMap<SocketAddr, VecDeque<(Box<Connection>, Instant)>>,
    tidied: Option<Instant>,
}

impl Client {
    /// Sends a request without a `host` header and with nothing but a path, and
    /// waits for the answer's head.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        pod: SocketAddr,
    ) -> Result<Response<Answering>, SendError> {
        loop {
            let kept = self.idle().take(pod, Instant::now());
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => Box::new(connect(pod).await?),
            };
            request.headers_mut().insert(header::HOST, connection.host.clone());
            match connection.exchange(request).await {
                Ok(response) => {
                    let client = self.clone();
                    return Ok(response.map(|body| Answering::new(body, connection, client, pod)));
                }
                Err(mut error) => match error.take_message() {
                    // It had been closed, and nothing has been sent.
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(pod: SocketAddr) -> Result<Connection, SendError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(pod)).await;
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let socket = connected.unwrap_or_else(|_| Err(late())).map_err(SendError::Connect)?;
    socket.set_nodelay(true).map_err(SendError::Connect)?;
    let (sender, driver) =
        http1::Builder::new().max_buf_size(READ_AHEAD).handshake(TokioIo::new(socket)).await?;
    // An address always is a header's value.
    let host = HeaderValue::try_from(pod.to_string()).unwrap_or(HeaderValue::from_static(""));
    Ok(Connection { host, sender, driver: Some(driver) })
}

impl Connection {
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut sent = std::pin::pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|context| {
            self.drive(context);
            sent.as_mut().poll(context)
        })
        .await
    }

    /// Moves it on; false when it is over.
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        if self.driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
            self.driver = None;
        }
        self.driver.is_some()
    }
}

impl Idle {
    fn take(&mut self, pod: SocketAddr, now: Instant) -> Option<Box<Connection>> {
        self.tidy(now);
        let kept = self.by_pod.get_mut(&pod)?;
        while let Some((mut connection, since)) = kept.pop_back() {
            let fresh = now.saturating_duration_since(since) < IDLE_TIMEOUT;
            // The pod may have closed it.
            if fresh && connection.drive(&mut Context::from_waker(Waker::noop())) {
                return Some(connection);
            }
        }
        None
    }

    fn put(&mut self, pod: SocketAddr, connection: Box<Connection>, now: Instant) {
        self.tidy(now);
        let kept = self.by_pod.entry(pod).or_default();
        kept.push_back((connection, now));
        if kept.len() > MOST_IDLE {
            kept.pop_front();
        }
    }

    /// Closes what has been idle for too long, also to pods that are no more.
    fn tidy(&mut self, now: Instant) {
        if self.tidied.is_some_and(|last| now.saturating_duration_since(last) < IDLE_TIMEOUT) {
            return;
        }
        self.tidied = Some(now);
        self.by_pod.retain(|_, kept| {
            kept.retain(|(_, since)| now.saturating_duration_since(*since) < IDLE_TIMEOUT);
            !kept.is_empty()
        });
    }
}

type Next = Option<Result<Frame<Bytes>, hyper::Error>>;

/// The body of an answer, and the connection that it comes by; that is kept when
/// the body has come to its end, and closed when it is dropped before.
pub struct Answering {
    body: Incoming,
    connection: Option<Box<Connection>>,
    client: Client,
    pod: SocketAddr,
    /// What has come already behind the last piece.
    ahead: Option<Next>,
}

impl Answering {
    fn new(body: Incoming, connection: Box<Connection>, client: Client, pod: SocketAddr) -> Self {
        Self { body, connection: Some(connection), client, pod, ahead: None }
    }

    /// The next piece, if it has come.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        // To ask the body first is to say that something is wanted. Nothing but
        // the connection can bring it, and that wakes whoever moves it on.
        let mut unheard = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut self.body).poll_frame(&mut unheard);
        if polled.is_pending() {
            self.drive(context);
            polled = Pin::new(&mut self.body).poll_frame(&mut unheard);
        }
        polled
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        if self.connection.as_mut().is_some_and(|connection| !connection.drive(context)) {
            // With it goes the body's other end, which then says so.
            self.connection = None;
        }
    }

    /// Keeps the connection for the next request.
    fn give_back(&mut self, context: &mut Context<'_>) {
        self.drive(context);
        if let Some(connection) = self.connection.take().filter(|one| one.sender.is_ready()) {
            self.client.idle().put(self.pod, connection, Instant::now());
        }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let next = match self.ahead.take() {
            Some(next) => next,
            None => std::task::ready!(self.poll_next(context)),
        };
        // Looking ahead tells that this was the last piece, which then goes out
        // together with the end.
        if matches!(next, Some(Ok(_)))
            && !self.body.is_end_stream()
            && let Poll::Ready(after) = self.poll_next(context)
        {
            self.ahead = Some(after);
        }
        if next.is_none() || self.is_end_stream() {
            self.give_back(context);
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.ahead, Some(None)) || self.ahead.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // What is kept ahead is no longer in the body's own.
        if self.ahead.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::BodyExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc::{UnboundedReceiver, unbounded_channel},
    };

    use super::*;

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    /// A pod that answers each request with these bytes, so often on each
    /// connection; it tells of every connection and request, and of every end.
    async fn pod(answer: &'static str, times: usize) -> (SocketAddr, UnboundedReceiver<&'static str>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, heard) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                _ = told.send("connection");
                let told = told.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    for _ in 0..times {
                        while !request.ends_with(b"\r\n\r\n") {
                            if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                                _ = told.send("end");
                                return;
                            }
                        }
                        request.clear();
                        _ = told.send("request");
                        socket.write_all(answer.as_bytes()).await.unwrap();
                    }
                    drop(socket);
                    _ = told.send("closed");
                });
            }
        });
        (address, heard)
    }

    async fn ask(client: &Client, pod: SocketAddr) -> Response<Answering> {
        let request = Request::get("/").body(Full::default()).unwrap();
        client.send(request, pod).await.unwrap()
    }

    #[tokio::test]
    async fn the_last_piece_is_known_to_be_the_last_when_its_end_has_come_with_it() {
        let answer = format!("{CHUNKED}5\r\naudio\r\n4\r\nmore\r\n0\r\n\r\n").leak();
        let (pod, _heard) = pod(answer, 1).await;
        let mut body = ask(&Client::default(), pod).await.into_body();
        for (piece, last) in [("audio", false), ("more", true)] {
            assert!(!body.is_end_stream());
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!((frame.into_data().unwrap(), body.is_end_stream()), (piece.into(), last));
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_when_its_answer_is_whole() {
        let answer = format!("{CHUNKED}5\r\naudio\r\n0\r\n\r\n").leak();
        let trailed = format!("{CHUNKED}5\r\naudio\r\n0\r\nx-tts-audio-ms: 1\r\n\r\n").leak();
        for answer in [answer, trailed, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\naudio"] {
            let (pod, mut heard) = pod(answer, 3).await;
            let client = Client::default();
            for _ in 0..3 {
                let whole = ask(&client, pod).await.into_body().collect().await.unwrap();
                assert_eq!(whole.to_bytes(), "audio");
            }
            for event in ["connection", "request", "request", "request"] {
                assert_eq!(heard.recv().await, Some(event));
            }
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_when_the_end_comes_after_all_else() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let pod = listener.local_addr().unwrap();
        let (go, mut gone) = unbounded_channel();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            for _ in 0..2 {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    assert!(socket.read_buf(&mut request).await.unwrap() > 0);
                }
                socket.write_all(format!("{CHUNKED}5\r\naudio\r\n").as_bytes()).await.unwrap();
                gone.recv().await.unwrap();
                socket.write_all(b"0\r\n\r\n").await.unwrap();
            }
        });
        let client = Client::default();
        for _ in 0..2 {
            let mut body = ask(&client, pod).await.into_body();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "audio");
            go.send(()).unwrap();
            assert!(body.frame().await.is_none());
        }
        // It has answered both on its only connection.
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_the_pod_has_closed_is_not_used_again() {
        let (pod, mut heard) = pod("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\naudio", 1).await;
        let client = Client::default();
        for _ in 0..3 {
            ask(&client, pod).await.into_body().collect().await.unwrap();
            while heard.recv().await != Some("closed") {}
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_takes_its_connection_with_it() {
        let (pod, mut heard) = pod("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\naudio", 2).await;
        let mut body = ask(&Client::default(), pod).await.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        while heard.recv().await != Some("end") {}
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error_and_no_end() {
        let answer = format!("{CHUNKED}5\r\naudio\r\n").leak();
        let (pod, _heard) = pod(answer, 1).await;
        let body = ask(&Client::default(), pod).await.into_body();
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn what_a_burst_leaves_is_not_kept_and_neither_is_what_is_old() {
        let (pod, _heard) = pod("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\naudio", 2).await;
        let client = Client::default();
        let many = futures::future::join_all((0..MOST_IDLE + 5).map(|_| ask(&client, pod))).await;
        for answer in many {
            answer.into_body().collect().await.unwrap();
        }
        let kept = |client: &Client| client.idle().by_pod.get(&pod).map_or(0, VecDeque::len);
        assert_eq!(kept(&client), MOST_IDLE);
        client.idle().tidied = None;
        client.idle().tidy(Instant::now() + IDLE_TIMEOUT);
        assert_eq!(kept(&client), 0);
    }
}
