//! `POST /v1/audio/speech`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    http::HeaderValue,
    response::Response,
};
use ttsfleet_models::Script;
use ttsfleet_serving::{Failure, Record, answer, read_json_body};
use ttsfleet_wire::{
    headers::{DIGEST, IGNORED, MODEL, NO_WORDS, OVER_SHARE, QUEUE_MS, SKIPPED_CHARS},
    pod::OnUnspeakable,
    speech::SpeechRequest,
};

use super::{
    answer::{Playback, Unspoken},
    claim::claim,
    failures::{inference, of_model, unspeakable},
    names::meant,
    order::{Order, Told},
};
use crate::{
    admission::Refused, audio::marks::Marks, callers::Claim, outbox, pool::Seat, slot::Served, state::App,
    synthesis::Synthesis,
};

pub(super) async fn speech(
    State(app): State<Arc<App>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Response {
    let spoken = speak(&app, &record, request).await;
    let over_share = spoken.as_ref().is_err_and(|refused| refused.over_share);
    let mut response = answer(&record, spoken.map_err(|refused| refused.failure));
    if over_share {
        response.headers_mut().insert(OVER_SHARE, HeaderValue::from_static("true"));
    }
    response
}

async fn speak(app: &Arc<App>, record: &Arc<Record>, request: Request) -> Result<Response, Refused> {
    let claim = claim(request.headers());
    // An overloaded server says so before it reads anything. The place itself
    // is taken only once the body is here, or slow senders would hold them all.
    app.admission.check(&claim, 0.0, &app.pool)?;
    app.served()?;
    let (parts, body) = request.into_parts();
    let body = read_json_body(&parts.headers, body, &app.limits.body).await?;
    let request = SpeechRequest::parse(&body).map_err(Failure::from)?;
    drop(body);
    let names = meant(&parts.headers, &request);
    // From here on this is the request's model, whatever is served meanwhile.
    let served = app.served()?;
    let ignored = request.ignored.join(", ");
    let order = Order::new(
        request,
        &names,
        &Told::by(&parts.headers),
        served.model().manifest(),
        app.limits.max_input_chars,
    )?;
    record.set_input_chars(order.chars);
    let admitted = app.admission.admit(&claim, app.rough_seconds(order.chars), &app.pool)?;
    let share = admitted.share;
    record.hold(admitted);
    let spoken = answer_with(app, &served, record, order, (&claim, share)).await;
    if let Err(Refused { failure, .. }) = &spoken {
        served.failed(failure);
    }
    let mut response = spoken?;
    if let Some(ignored) = HeaderValue::from_str(&ignored).ok().filter(|ignored| !ignored.is_empty()) {
        response.headers_mut().insert(IGNORED, ignored);
    }
    Ok(response)
}

async fn answer_with(
    app: &Arc<App>,
    served: &Arc<Served>,
    record: &Arc<Record>,
    order: Order,
    by: (&Claim, f64),
) -> Result<Response, Refused> {
    let (order, script) = read_text(served, order).await?;
    record.set_skipped_chars(script.skipped_chars);
    if script.skipped_chars > 0 && app.limits.on_unspeakable == OnUnspeakable::Refuse {
        return Err(unspeakable(script.skipped_chars, &served.model().manifest().languages).into());
    }
    let unspoken = Unspoken { skipped_chars: script.skipped_chars, no_words: !script.has_words() };
    let (seat, queued) = wait_for_turn(app, by, app.expected_seconds(&script)).await?;
    let playback = start(app, served, record, (&order, unspoken), script, seat);
    let response = playback.respond().await?;
    Ok(with_headers(response, served, queued, unspoken))
}

/// Has the model read the text, off the runtime, as this is work on user text
/// like synthesis itself.
async fn read_text(served: &Arc<Served>, order: Order) -> Result<(Order, Script), Failure> {
    let served = Arc::clone(served);
    let read = tokio::task::spawn_blocking(move || {
        let script = served.model().read(&order.utterance()).map_err(of_model)?;
        Ok((order, script))
    });
    read.await.unwrap_or_else(|_| Err(inference("reading the text panicked")))
}

/// Waits for a thread and its first turn, for as long as the claim allows;
/// answers how long that was.
async fn wait_for_turn(
    app: &App,
    (claim, share): (&Claim, f64),
    seconds: f64,
) -> Result<(Seat, Duration), Refused> {
    let waiting = Instant::now();
    let (seat, mut turn) = app.pool.enter(claim, share, seconds);
    if turn.try_recv().is_err() {
        let _waiting = app.admission.join_queue();
        let longest = claim.patience.unwrap_or(app.limits.longest_request);
        let given = tokio::time::timeout(longest, turn).await;
        let given = given.map_err(|_| app.admission.waited_in_vain(claim, seconds, &app.pool))?;
        given.map_err(|_| inference("no synthesis threads"))?;
    }
    let queued = waiting.elapsed();
    app.metrics.queue_time.observe(queued.as_secs_f64());
    Ok((seat, queued))
}

/// Sets the thread to work.
fn start(
    app: &Arc<App>,
    served: &Arc<Served>,
    record: &Arc<Record>,
    (order, unspoken): (&Order, Unspoken),
    script: Script,
    seat: Seat,
) -> Playback {
    let deadline = Instant::now() + app.limits.longest_request;
    let Order { format, sample_rate, .. } = *order;
    let hold = !order.is_resumed && app.is_soon_whole(&script, sample_rate);
    let (sender, receiver) = outbox::channel(app.limits.buffered_bytes, deadline);
    let marks = app.producer.as_ref().map(|producer| {
        let (model, digest) = (served.id(), &served.loaded.digest);
        Arc::new(Marks::new(producer, &model, digest, record.request_id(), order.time))
    });
    let playback = Playback::new(
        Arc::clone(app),
        Arc::clone(record),
        receiver,
        (order, unspoken),
        served,
        marks.clone(),
        hold,
    );
    let synthesis =
        Synthesis { app: Arc::clone(app), served: Arc::clone(served), script, format, sample_rate, marks };
    let span = tracing::info_span!("synthesis", request_id = record.request_id());
    app.pool.run(seat, move |seat| span.in_scope(|| synthesis.run(sender, seat)));
    playback
}

fn with_headers(mut response: Response, served: &Served, queued: Duration, unspoken: Unspoken) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [(MODEL, served.id().parse()), (DIGEST, served.loaded.digest.parse())] {
        // A model may have a name that no header can hold.
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers.insert(QUEUE_MS, (queued.as_millis() as u64).into());
    if unspoken.skipped_chars > 0 {
        headers.insert(SKIPPED_CHARS, unspoken.skipped_chars.into());
    }
    if unspoken.no_words {
        headers.insert(NO_WORDS, HeaderValue::from_static("true"));
    }
    response
}
