//! One connection: what it is doing, how long it may do so, and how it ends. A
//! connection that is closed while a client sends its next request on it costs
//! the client that request, so where it is ours to choose, the last answer says
//! that it is the last.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError, Router,
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Request, Response, header},
};
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rand::Rng;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};
use tokio_io_timeout::TimeoutStream;

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Connections open at once on one port. For another one, that which has
    /// waited longest for a request is closed.
    pub max: usize,
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long a client may wait with its next request. Load balancers must be
    /// the ones who give up first: the usual ones keep a connection for 60 s, and
    /// Google's for 600.
    pub idle_timeout: Duration,
    /// How long a client may take none of the answer.
    pub write_timeout: Duration,
    /// Age from which on an answer is the connection's last, so that callers find
    /// their way to new replicas. Up to a fifth is taken off it by chance: those
    /// made at once do not end at once.
    pub max_age: Duration,
}

impl Connections {
    /// What suits most servers: `max` connections, and patience.
    pub const fn patient(max: usize) -> Self {
        Self {
            max,
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(620),
            write_timeout: Duration::from_secs(30),
            max_age: Duration::from_secs(600),
        }
    }
}

/// What answers the requests of a port: a router, or something of its own where a
/// router costs too much.
pub trait Routes: Clone + Send + 'static {
    /// An answer's body.
    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static;

    /// Answers a request.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;
}

impl Routes for Router {
    type Body = Body;

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send + use<> {
        let answered = TowerToHyperService::new(self.clone()).call(request);
        async { answered.await.unwrap_or_else(|never: Infallible| match never {}) }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has had a request, and waits for the next one since then.
    Idle(Instant),
    /// It is new, or the headers of a request have begun to come, since then.
    Head(Instant),
    /// A request is being answered.
    Busy,
}

/// What to do about a connection.
#[derive(Debug, PartialEq, Eq)]
enum Check {
    Close,
    Again(Instant),
}

impl Phase {
    fn check(self, now: Instant, bounds: &Connections) -> Check {
        let end = match self {
            Self::Idle(since) => since + bounds.idle_timeout,
            Self::Head(since) => since + bounds.header_timeout,
            Self::Busy => now + bounds.header_timeout,
        };
        // Headers may begin to come at any time, and nobody looks here then.
        if now >= end { Check::Close } else { Check::Again(end.min(now + bounds.header_timeout)) }
    }

    fn waits_since(self) -> Option<Instant> {
        match self {
            Self::Idle(since) | Self::Head(since) => Some(since),
            Self::Busy => None,
        }
    }
}

/// An open connection, as others see it.
struct Open {
    phase: Mutex<Phase>,
    /// Set when the next answer is the last.
    last: AtomicBool,
    close: Notify,
}

impl Open {
    fn new() -> Self {
        let phase = Mutex::new(Phase::Head(Instant::now()));
        Self { phase, last: AtomicBool::new(false), close: Notify::new() }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    fn heard(&self) {
        let mut phase = self.phase();
        if matches!(*phase, Phase::Idle(_)) {
            *phase = Phase::Head(Instant::now());
        }
    }

    fn end(&self) {
        self.last.store(true, Ordering::Relaxed);
        self.close.notify_one();
    }
}

/// A port's open connections.
#[derive(Default)]
pub(crate) struct Opened {
    next: AtomicU64,
    connections: Mutex<HashMap<u64, Arc<Open>>>,
}

impl Opened {
    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Arc<Open>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all: those that wait at once, those that are busy after their answer.
    pub(crate) fn end_all(&self) {
        self.connections().values().for_each(|open| open.end());
    }

    /// Ends the one that has waited longest for a request.
    pub(crate) fn end_longest_waiting(&self) {
        let connections = self.connections();
        let waiting = connections.values().filter_map(|open| Some((open.phase().waits_since()?, open)));
        if let Some((_, open)) = waiting.min_by_key(|(since, _)| *since) {
            open.end();
        }
    }

    /// Enters one, until the value is gone.
    fn enter(self: &Arc<Self>) -> Entered {
        let (number, open) = (self.next.fetch_add(1, Ordering::Relaxed), Arc::new(Open::new()));
        self.connections().insert(number, Arc::clone(&open));
        Entered { opened: Arc::clone(self), number, open }
    }
}

struct Entered {
    opened: Arc<Opened>,
    number: u64,
    open: Arc<Open>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.opened.connections().remove(&self.number);
    }
}

/// Answers what comes on one connection, until its end.
pub(crate) fn answer<R: Routes>(
    socket: TcpStream,
    http: http1::Builder,
    routes: R,
    bounds: Connections,
    opened: &Arc<Opened>,
) -> impl Future<Output = ()> + use<R> {
    let entered = opened.enter();
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(bounds.write_timeout));
    async move {
        let open = &entered.open;
        let socket = TokioIo::new(Heard { socket: Box::pin(socket), open: Arc::clone(open) });
        let service = service(routes, Arc::clone(open), Instant::now() + age(bounds.max_age));
        let mut connection = pin!(http.serve_connection(socket, service));
        let mut next = Instant::now() + bounds.header_timeout;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                () = tokio::time::sleep_until(next) => {
                    let phase = *open.phase();
                    match phase.check(Instant::now(), &bounds) {
                        Check::Again(time) => {
                            next = time;
                            continue;
                        }
                        // It is not known to hyper that half a head has no end.
                        Check::Close if matches!(phase, Phase::Head(_)) => return,
                        Check::Close => next = Instant::now() + bounds.header_timeout,
                    }
                }
                () = open.close.notified() => {
                    if matches!(*open.phase(), Phase::Head(_)) {
                        return;
                    }
                }
            }
            connection.as_mut().graceful_shutdown();
        }
    }
}

fn age(longest: Duration) -> Duration {
    longest.mul_f64(rand::rng().random_range(0.8..=1.0))
}

/// Notes when the connection is busy, and says in its last answer that it is.
fn service<R: Routes>(
    routes: R,
    open: Arc<Open>,
    old: Instant,
) -> impl Service<Request<Incoming>, Response = Response<Held<R::Body>>, Error = Infallible, Future: Send> {
    service_fn(move |request| {
        *open.phase() = Phase::Busy;
        let (answered, busy) = (routes.answer(request), Busy(Arc::clone(&open)));
        async move {
            let mut response = answered.await;
            if busy.0.last.load(Ordering::Relaxed) || Instant::now() >= old {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Held { body, _busy: busy }))
        }
    })
}

/// Dropped when the answer has been handed over.
struct Busy(Arc<Open>);

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.phase() = Phase::Idle(Instant::now());
    }
}

/// An answer's body.
struct Held<B> {
    body: B,
    _busy: Busy,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that notes when something comes.
struct Heard<S> {
    socket: Pin<Box<S>>,
    open: Arc<Open>,
}

impl<S: AsyncRead> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.socket.as_mut().poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.open.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.socket.as_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.socket.as_mut().poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.socket.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.socket.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Connections = Connections::patient(8);

    #[tokio::test(start_paused = true)]
    async fn headers_have_less_time_than_the_next_request() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(Phase::Head(begun).check(after(29), &BOUNDS), Check::Again(after(30)));
        assert_eq!(Phase::Head(begun).check(after(30), &BOUNDS), Check::Close);
        assert_eq!(Phase::Idle(begun).check(after(30), &BOUNDS), Check::Again(after(60)));
        assert_eq!(Phase::Idle(begun).check(after(619), &BOUNDS), Check::Again(after(620)));
        assert_eq!(Phase::Idle(begun).check(after(620), &BOUNDS), Check::Close);
        assert_eq!(Phase::Busy.check(after(10_000), &BOUNDS), Check::Again(after(10_030)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_is_ended_and_never_one_that_is_busy() {
        let opened = Arc::<Opened>::default();
        let connections: Vec<_> = (0..3).map(|_| opened.enter()).collect();
        let phases = [Phase::Busy, Phase::Idle(Instant::now() + Duration::from_secs(1)), Phase::Busy];
        for (entered, phase) in connections.iter().zip(phases) {
            *entered.open.phase() = phase;
        }
        let ended = || connections.iter().map(|one| one.open.last.load(Ordering::Relaxed));
        opened.end_longest_waiting();
        assert!(ended().eq([false, true, false]));
        *connections[2].open.phase() = Phase::Head(Instant::now());
        opened.end_longest_waiting();
        assert!(ended().eq([false, true, true]));
    }
}
