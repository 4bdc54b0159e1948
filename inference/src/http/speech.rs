//! `POST /v1/audio/speech`.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::Response,
};
use futures::StreamExt;
use ttsfleet_wire::{error::ErrorCode, speech::SpeechRequest};

use super::{Failure, answer::Playback, order::Order, record::Record, routes::answer};
use crate::{
    audio::EncodeError,
    config::Limits,
    outbox::{self, Event, Refused, Sender, Spoken},
    state::{App, Served},
};

pub(super) async fn speech(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    let spoken = speak(&app, &record, request).await;
    answer(&record, spoken)
}

async fn speak(app: &Arc<App>, record: &Arc<Record>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, &app.limits).await?;
    let request = SpeechRequest::parse(&body)?;
    drop(body);
    let (served, _) = app.served()?;
    let order = Order::new(request, served.model.manifest(), app.limits.max_input_chars)?;
    record.set_input_chars(order.chars);
    record.hold(app.admit()?);
    let order = check_text(served, order).await?;
    let (playback, queued) = start(app, served, record, &order).await?;
    let response = playback.respond().await?;
    Ok(with_headers(response, served, queued))
}

/// Reads the body, within its bounds of kind, size and time.
async fn read_body(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Vec<u8>, Failure> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = declared.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "Send the body as JSON, with the header `content-type: application/json`.";
        return Err(Failure::new(ErrorCode::UnsupportedMediaType, message));
    }
    let read = tokio::time::timeout(limits.body_timeout, collect(body, limits.max_body_bytes));
    read.await.unwrap_or_else(|_| {
        let seconds = limits.body_timeout.as_secs();
        let message = format!("The body did not arrive within {seconds} s.");
        Err(Failure::new(ErrorCode::RequestTimeout, message))
    })
}

async fn collect(body: Body, most: usize) -> Result<Vec<u8>, Failure> {
    let mut collected = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Failure::new(ErrorCode::InvalidJson, "The body ended early."))?;
        if collected.len() + piece.len() > most {
            let message = format!("The body is larger than {most} bytes.");
            return Err(Failure::new(ErrorCode::BodyTooLarge, message));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected)
}

/// Asks the model whether it can speak the text, off the runtime, as this is
/// work on user text like synthesis itself.
async fn check_text(served: &Arc<Served>, order: Order) -> Result<Order, Failure> {
    let served = Arc::clone(served);
    let checked = tokio::task::spawn_blocking(move || {
        served.model.check(&order.utterance())?;
        Ok(order)
    });
    checked.await.unwrap_or_else(|_| Err(Failure::inference("the check of the text panicked")))
}

/// Waits for a thread and sets it to work; answers how long the wait was.
async fn start(
    app: &Arc<App>,
    served: &Arc<Served>,
    record: &Arc<Record>,
    order: &Order,
) -> Result<(Playback, Duration), Failure> {
    let waiting = Instant::now();
    let depth = QueueDepth::enter(app);
    let slot = app.pool.slot().await.ok_or_else(|| Failure::inference("no synthesis threads"))?;
    drop(depth);
    let queued = waiting.elapsed();
    app.metrics.queue_time.observe(queued.as_secs_f64());

    let deadline = Instant::now() + app.limits.longest_request;
    let (sender, receiver) = outbox::channel(app.limits.buffered_bytes, deadline);
    let playback = Playback::new(Arc::clone(app), Arc::clone(record), receiver, order, served);
    let (app, served, order) = (Arc::clone(app), Arc::clone(served), order.clone());
    let span = tracing::info_span!("synthesis", request_id = record.request_id);
    app.clone().pool.run(slot, move || span.in_scope(|| synthesise(&app, &served, &order, sender)));
    Ok((playback, queued))
}

/// Counts a request as waiting for as long as it does, even if it is dropped.
struct QueueDepth(Arc<App>);

impl QueueDepth {
    fn enter(app: &Arc<App>) -> Self {
        app.metrics.queue_depth.inc();
        Self(Arc::clone(app))
    }
}

impl Drop for QueueDepth {
    fn drop(&mut self) {
        self.0.metrics.queue_depth.dec();
    }
}

/// Speaks on a synthesis thread, into `sender`.
fn synthesise(app: &App, served: &Served, order: &Order, mut sender: Sender) {
    let started = Instant::now();
    match encode(served, order, &mut sender) {
        Ok(samples) => {
            let rate = f64::from(served.model.manifest().sample_rate);
            let audio = Duration::from_secs_f64(samples as f64 / rate);
            let work = started.elapsed().saturating_sub(sender.waited());
            app.metrics.audio.inc_by(audio.as_secs_f64());
            app.metrics.real_time_factor.observe(work.as_secs_f64() / audio.as_secs_f64());
            sender.end(Event::Done(Spoken { audio }));
        }
        Err(Stop::Refused(Refused::Gone)) => {}
        Err(Stop::Refused(Refused::TooSlow)) => {
            let message = "The answer was read too slowly, and has been cut off.";
            sender.end(Event::Failed(Failure::new(ErrorCode::ClientTooSlow, message)));
        }
        Err(Stop::Failed(failure)) => sender.end(Event::Failed(failure)),
    }
}

/// Why a synthesis ended before its end.
enum Stop {
    Refused(Refused),
    Failed(Failure),
}

impl From<EncodeError> for Stop {
    fn from(error: EncodeError) -> Self {
        Self::Failed(Failure::inference(error.to_string()))
    }
}

/// Speaks, encodes, hands over; answers the number of samples.
fn encode(served: &Served, order: &Order, sender: &mut Sender) -> Result<usize, Stop> {
    let mut encoder = order.format.encoder(served.model.manifest().sample_rate)?;
    let mut samples = 0;
    let mut stop = None;
    let spoken = served.model.speak(&order.utterance(), &mut |audio| {
        samples += audio.len();
        let mut bytes = Vec::new();
        let taken = encoder.push(audio, &mut bytes).map_err(Stop::from);
        match taken.and_then(|()| send(sender, bytes)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(reason) => {
                stop = Some(reason);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(reason) = stop {
        return Err(reason);
    }
    spoken.map_err(|error| Stop::Failed(error.into()))?;
    if samples == 0 {
        return Err(Stop::Failed(Failure::inference("the model made no audio")));
    }
    let mut bytes = Vec::new();
    encoder.finish(&mut bytes)?;
    send(sender, bytes)?;
    Ok(samples)
}

/// Notices that the client has gone even where an encoder has no bytes yet.
fn send(sender: &mut Sender, bytes: Vec<u8>) -> Result<(), Stop> {
    let sent = if sender.is_closed() { Err(Refused::Gone) } else { sender.audio(bytes) };
    sent.map_err(Stop::Refused)
}

fn with_headers(mut response: Response, served: &Served, queued: Duration) -> Response {
    let headers = response.headers_mut();
    if let Ok(id) = served.id().parse() {
        headers.insert("x-tts-model", id);
    }
    headers.insert("x-tts-queue-ms", (queued.as_millis() as u64).into());
    response
}
