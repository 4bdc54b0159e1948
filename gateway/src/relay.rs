//! From a pod's answer to the caller's: headers first, then bytes as they come.
//! Nothing is read from the pod before the caller has room for it.

use std::{
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use ttsfleet_serving::{Failure, NO_STORE, Record};
use ttsfleet_wire::{error::ErrorCode, headers};

use crate::{
    attempts::Answered,
    call::Call,
    client::Answering,
    events::Events,
    forward::MOST_HEADERS,
    limit::Limited,
    resume::{Resumed, Resumption},
    route::{Route, Tier},
    upstream::Answer,
};

/// What `x-tts-degraded` says of an answer by another pool than the first.
const BACKUP: &str = "backup";

/// The answer was cut off; the connection shows it by ending without an end.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct CutOff;

/// Headers of a pod's answer that its caller gets.
const PASSED: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("x-accel-buffering"),
    HeaderName::from_static(headers::MODEL),
    HeaderName::from_static(headers::DIGEST),
    HeaderName::from_static(headers::SAMPLE_RATE),
    HeaderName::from_static(headers::SYNTHETIC),
    HeaderName::from_static(headers::QUEUE_MS),
    HeaderName::from_static(headers::SKIPPED_CHARS),
    HeaderName::from_static(headers::NO_WORDS),
];

/// Hands an answer on, saying where it comes from.
pub(crate) fn deliver(
    answered: Answered<Answer>,
    tier: &Tier,
    record: &Arc<Record>,
    route: &Route,
    resumption: Option<Box<Resumption>>,
) -> Response<Sending> {
    let pool = answered.call.pool.name.clone();
    let declined = !answered.answer.head.status.is_success();
    record.set_pool(&pool);
    record
        .set_skipped_chars(number(&answered.answer.head.headers, headers::SKIPPED_CHARS).unwrap_or_default());
    if declined {
        // The pod's own words are in the answer; here the code is what counts.
        let code = answered.answer.code.unwrap_or(ErrorCode::UpstreamFailed);
        record.fail(&Failure::new(code, "declined by a pod"));
    }
    let mut response = respond(answered, record, route.idle, resumption);
    let degraded = !declined && tier.pools.first() != Some(&pool);
    if degraded {
        record.set_degraded(BACKUP);
        response.headers_mut().insert(headers::DEGRADED, HeaderValue::from_static(BACKUP));
    }
    if degraded || declined {
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    }
    response
}

/// What a pod's header says, if that is a number.
pub(crate) fn number<N: FromStr>(map: &HeaderMap, name: &str) -> Option<N> {
    map.get(name)?.to_str().ok()?.parse().ok()
}

/// The caller's answer: the pod's, with what the gateway knows of it.
fn respond(
    answered: Answered<Answer>,
    record: &Arc<Record>,
    idle: Duration,
    resumption: Option<Box<Resumption>>,
) -> Response<Sending> {
    let Answered { answer: Answer { head, first, rest, .. }, call, attempts, .. } = answered;
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = HeaderMap::with_capacity(MOST_HEADERS);
    for name in &PASSED {
        if let Some(value) = head.headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    insert(response.headers_mut(), headers::POOL, &call.pool.name);
    response.headers_mut().insert(headers::ATTEMPTS, attempts.into());
    note_length(record, Some(&head.headers));
    let events = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = match rest {
        None => Sending::Whole(Body::from(first)),
        Some(rest) => Sending::Relayed(Relay {
            next: Next::First(first),
            rest: Some(rest),
            call: Some(call),
            resumption,
            record: Arc::clone(record),
            idle: Patience { longest: idle, timer: None, end: None },
            heard: Instant::now(),
            events: events.then(Events::default),
        }),
    };
    response.map(|_| body)
}

/// Tells the caller that the text was cut.
pub(crate) fn tell_truncated(limited: &Limited, headers: &mut HeaderMap) {
    if limited.is_truncated() {
        headers.insert(headers::TRUNCATED, HeaderValue::from_static("true"));
        headers.insert(headers::INPUT_CHARS, limited.input_chars.into());
        headers.insert(headers::SPOKEN_CHARS, limited.spoken_chars.into());
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An answer's body.
#[allow(clippy::large_enum_variant, reason = "nearly all are relayed, and a box for each would cost more")]
pub enum Sending {
    /// A pod's, as it comes.
    Relayed(Relay),
    /// One that is here.
    Whole(Body),
}

impl From<Body> for Sending {
    fn from(whole: Body) -> Self {
        Self::Whole(whole)
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Relayed(relay) => relay.poll_frame(context),
            Self::Whole(body) => {
                Pin::new(body).poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relayed(relay) => matches!(relay.next, Next::Nothing),
            Self::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // The head says how long it is, if the pod does.
            Self::Relayed(_) => SizeHint::default(),
            Self::Whole(body) => body.size_hint(),
        }
    }
}

/// An answer on its way.
pub struct Relay {
    next: Next,
    /// None if the last piece was all.
    rest: Option<Answering>,
    /// None once it has broken off.
    call: Option<Call>,
    /// What it takes to go on if it breaks off.
    resumption: Option<Box<Resumption>>,
    record: Arc<Record>,
    idle: Patience,
    /// When the pod was last heard of.
    heard: Instant,
    /// Where the answer consists of events: the one that is not complete yet.
    events: Option<Events>,
}

type Resuming = Pin<Box<dyn Future<Output = (Box<Resumption>, Option<Resumed>)> + Send>>;

/// What the caller gets next.
enum Next {
    /// The bytes that have come already.
    First(Bytes),
    /// What comes.
    Rest,
    /// What another pod has, for an answer that broke off in this way.
    Resumed(Resuming, Failure),
    /// A broken connection, once what came before has gone out: an error drops
    /// what has not.
    CutOff,
    /// Nothing more.
    Nothing,
}

impl Relay {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let taken = match std::mem::replace(&mut self.next, Next::Rest) {
            Next::First(first) => self.pass_on(first).map(Some),
            Next::Rest => match self.poll_rest(context) {
                Poll::Ready(taken) => taken,
                Poll::Pending => return Poll::Pending,
            },
            Next::Resumed(mut resuming, failure) => match resuming.as_mut().poll(context) {
                Poll::Ready((resumption, Some(resumed))) => self.go_on(resumption, resumed).map(Some),
                Poll::Ready((_, None)) => return self.break_off(&failure, context),
                Poll::Pending => {
                    self.next = Next::Resumed(resuming, failure);
                    return Poll::Pending;
                }
            },
            Next::CutOff => {
                self.next = Next::Nothing;
                return Poll::Ready(Some(Err(CutOff.into())));
            }
            Next::Nothing => {
                self.next = Next::Nothing;
                return Poll::Ready(None);
            }
        };
        match taken {
            Ok(bytes) => {
                if self.rest.as_ref().is_none_or(HttpBody::is_end_stream) {
                    self.next = Next::Nothing;
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Err(failure) => self.interrupted(failure, context),
        }
    }

    /// The next bytes from the pod; none at the end.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Failure>> {
        loop {
            let Some(rest) = &mut self.rest else { return Poll::Ready(Ok(None)) };
            match Pin::new(rest).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.begin_anew();
                    self.heard = Instant::now();
                    match frame.into_data() {
                        Ok(bytes) => return Poll::Ready(self.pass_on(bytes).map(Some)),
                        Err(frame) => note_length(&self.record, frame.trailers_ref()),
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Err(cut_off(ErrorCode::UpstreamFailed, error.to_string())));
                }
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending if self.idle.is_over(context) => {
                    let cause = format!("nothing came for {} ms", self.idle.longest.as_millis());
                    return Poll::Ready(Err(cut_off(ErrorCode::UpstreamTimeout, cause)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn pass_on(&mut self, bytes: Bytes) -> Result<Bytes, Failure> {
        if let Some(resumption) = &mut self.resumption {
            resumption.had(&bytes);
        }
        let Some(events) = &mut self.events else { return Ok(bytes) };
        let too_long = || cut_off(ErrorCode::UpstreamFailed, "an event does not end".to_owned());
        events.push(bytes).ok_or_else(too_long)
    }

    /// The answer has broken off. Another pod may go on with it; not where the caller
    /// has long taken nothing, which is what pods cut answers off for.
    fn interrupted(
        &mut self,
        failure: Failure,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.rest = None;
        let is_recent = self.heard.elapsed() <= 2 * self.idle.longest;
        let resumption = self.resumption.take().filter(|_| is_recent);
        let call = self.call.take().inspect(Call::broke);
        match resumption.zip(call) {
            Some((resumption, call)) if resumption.is_allowed(&call) => {
                self.next = Next::Resumed(Box::pin(resumption.go_on(call)), failure);
                self.poll_frame(context)
            }
            _ => self.break_off(&failure, context),
        }
    }

    /// From here on another pod speaks.
    fn go_on(&mut self, resumption: Box<Resumption>, resumed: Resumed) -> Result<Bytes, Failure> {
        let Resumed { call, first, rest } = resumed;
        self.record.set_pool(&call.pool.name);
        (self.call, self.rest, self.resumption) = (Some(call), rest, Some(resumption));
        self.idle.begin_anew();
        self.heard = Instant::now();
        self.pass_on(first)
    }

    fn break_off(
        &mut self,
        failure: &Failure,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.record.fail(failure);
        match &self.events {
            Some(events) => {
                self.next = Next::Nothing;
                let event = events.error(failure, self.record.request_id());
                Poll::Ready(Some(Ok(Frame::data(event))))
            }
            None => {
                self.next = Next::CutOff;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

/// Notes how long the audio is, where the pod says so.
fn note_length(record: &Record, said: Option<&HeaderMap>) {
    if let Some(milliseconds) = said.and_then(|map| number(map, headers::AUDIO_MS)) {
        record.set_audio(Duration::from_millis(milliseconds));
    }
}

fn cut_off(code: ErrorCode, cause: String) -> Failure {
    Failure::new(code, "The answer broke off; what has come is not all of it.").because(cause)
}

/// How long the next bytes are waited for.
struct Patience {
    longest: Duration,
    /// Set when something is waited for.
    end: Option<Instant>,
    /// Made once and set again only when it goes off: bytes mostly come long before.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn begin_anew(&mut self) {
        self.end = None;
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let end = *self.end.get_or_insert_with(|| Instant::now() + self.longest);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= end {
                return true;
            }
            timer.as_mut().reset(end);
        }
        false
    }
}
