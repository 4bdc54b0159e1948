//! `POST /v1/audio/speech`.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use ttsfleet_serving::{Failure, Record, answer, read_json_body};
use ttsfleet_wire::{
    error::ErrorCode,
    headers::{DIGEST, INPUT_CHARS, MODEL, QUEUE_MS, SAMPLE_RATE},
    speech::SpeechRequest,
};

use super::{
    answer::Playback,
    failures::{inference, of_model},
    order::Order,
};
use crate::{
    audio::EncodeError,
    outbox::{self, Event, Refused, Sender, Spoken},
    slot::Served,
    state::App,
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
    // An overloaded server says so before it reads anything. The place itself
    // is taken only once the body is here, or slow senders would hold them all.
    app.admission.check()?;
    app.served()?;
    let (parts, body) = request.into_parts();
    let body = read_json_body(&parts.headers, body, &app.limits.body).await?;
    let request = SpeechRequest::parse(&body)?;
    drop(body);
    // From here on this is the request's model, whatever is served meanwhile.
    let served = app.served()?;
    let order = Order::new(
        request,
        sent_chars(&parts.headers),
        served.model().manifest(),
        app.limits.max_input_chars,
    )?;
    record.set_input_chars(order.chars);
    record.hold(app.admission.admit()?);
    let spoken = answer_with(app, &served, record, order).await;
    if let Err(failure) = &spoken {
        served.failed(failure);
    }
    spoken
}

async fn answer_with(
    app: &Arc<App>,
    served: &Arc<Served>,
    record: &Arc<Record>,
    order: Order,
) -> Result<Response, Failure> {
    let order = check_text(served, order).await?;
    let (playback, queued) = start(app, served, record, &order).await?;
    let response = playback.respond().await?;
    Ok(with_headers(response, served, queued))
}

/// How long the text was when the gateway got it, if it says so.
fn sent_chars(headers: &HeaderMap) -> Option<usize> {
    headers.get(INPUT_CHARS)?.to_str().ok()?.parse().ok()
}

/// Asks the model whether it can speak the text, off the runtime, as this is
/// work on user text like synthesis itself.
async fn check_text(served: &Arc<Served>, order: Order) -> Result<Order, Failure> {
    let served = Arc::clone(served);
    let checked = tokio::task::spawn_blocking(move || {
        served.model().check(&order.utterance()).map_err(of_model)?;
        Ok(order)
    });
    checked.await.unwrap_or_else(|_| Err(inference("the check of the text panicked")))
}

/// Waits for a thread and sets it to work; answers how long the wait was.
async fn start(
    app: &Arc<App>,
    served: &Arc<Served>,
    record: &Arc<Record>,
    order: &Order,
) -> Result<(Playback, Duration), Failure> {
    let waiting = Instant::now();
    let slot = match app.pool.free_slot() {
        Some(slot) => slot,
        None => {
            let _waiting = app.admission.join_queue();
            app.pool.slot().await.ok_or_else(|| inference("no synthesis threads"))?
        }
    };
    let queued = waiting.elapsed();
    app.metrics.queue_time.observe(queued.as_secs_f64());

    let deadline = Instant::now() + app.limits.longest_request;
    let (sender, receiver) = outbox::channel(app.limits.buffered_bytes, deadline);
    let playback = Playback::new(Arc::clone(app), Arc::clone(record), receiver, order, served);
    let (app, served, order) = (Arc::clone(app), Arc::clone(served), order.clone());
    let span = tracing::info_span!("synthesis", request_id = record.request_id());
    app.clone().pool.run(slot, move || span.in_scope(|| synthesise(&app, &served, &order, sender)));
    Ok((playback, queued))
}

/// Speaks on a synthesis thread, into `sender`.
fn synthesise(app: &App, served: &Served, order: &Order, mut sender: Sender) {
    let started = Instant::now();
    match encode(served, order, &mut sender) {
        Ok(samples) => {
            let rate = f64::from(served.model().manifest().sample_rate);
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
        Self::Failed(inference(error.to_string()))
    }
}

/// Speaks, encodes, hands over; answers the number of samples.
fn encode(served: &Served, order: &Order, sender: &mut Sender) -> Result<usize, Stop> {
    let mut encoder = order.format.encoder(served.model().manifest().sample_rate)?;
    let mut samples = 0;
    let mut stop = None;
    let spoken = served.model().speak(&order.utterance(), &mut |audio| {
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
    spoken.map_err(|error| Stop::Failed(of_model(error)))?;
    if samples == 0 {
        return Err(Stop::Failed(inference("the model made no audio")));
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
    for (name, value) in [(MODEL, served.id().parse()), (DIGEST, served.loaded.digest.parse())] {
        // A model may have a name that no header can hold.
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers.insert(SAMPLE_RATE, served.model().manifest().sample_rate.into());
    headers.insert(QUEUE_MS, (queued.as_millis() as u64).into());
    response
}
