//! The answer with audio, as it is made. Headers are sent once there is audio:
//! what fails before that is answered with its own status.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{Stream, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use ttsfleet_serving::{Failure, Record};
use ttsfleet_wire::{
    audio::AudioFormat,
    headers::{AUDIO_MS, SAMPLE_RATE, SYNTHETIC},
};

use super::{failures::inference, order::Order};
use crate::{
    audio::{marks::Marks, wav},
    outbox::{Event, Receiver, Spoken},
    slot::Served,
    state::App,
    synthesis::late,
};

/// The answer was cut off; the connection shows it by ending without an end.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off: {0}")]
struct CutOff(&'static str);

/// What of a text is not heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unspoken {
    /// Letters that the voice cannot speak.
    pub(super) skipped_chars: usize,
    /// Whether there are no words at all.
    pub(super) no_words: bool,
}

/// A synthesis under way, and how to send it.
pub(super) struct Playback {
    app: Arc<App>,
    record: Arc<Record>,
    served: Arc<Served>,
    receiver: Receiver,
    format: AudioFormat,
    /// Samples a second that are sent.
    sample_rate: u32,
    /// What the answer says of itself.
    marks: Option<Arc<Marks>>,
    events: bool,
    /// Whether a WAV file is kept back until its length is known.
    hold: bool,
    first_audio: Duration,
    chars: usize,
    cut_from: Option<usize>,
    unspoken: Unspoken,
}

impl Playback {
    pub(super) fn new(
        app: Arc<App>,
        record: Arc<Record>,
        receiver: Receiver,
        (order, unspoken): (&Order, Unspoken),
        served: &Arc<Served>,
        marks: Option<Arc<Marks>>,
        hold: bool,
    ) -> Self {
        let served = Arc::clone(served);
        let Order { format, sample_rate, events, chars, cut_from, .. } = *order;
        let first_audio = Duration::ZERO;
        Self {
            app,
            record,
            served,
            receiver,
            format,
            sample_rate,
            marks,
            events,
            hold,
            first_audio,
            chars,
            cut_from,
            unspoken,
        }
    }

    /// Waits for the first audio and answers with it, the rest to follow.
    pub(super) async fn respond(mut self) -> Result<Response, Failure> {
        let first = match self.next().await {
            Event::Audio(bytes) => bytes,
            Event::Failed(failure) => return Err(failure),
            Event::Done(_) => return Err(inference("the encoder made no audio")),
        };
        self.record.first_audio();
        self.first_audio = self.record.started().elapsed();
        match (self.events, self.format) {
            (true, _) => Ok(self.events(first)),
            (false, AudioFormat::Wav) if self.hold => self.whole_wav(first).await,
            (false, AudioFormat::Wav) => Ok(self.begun_wav(&first)),
            (false, _) => Ok(self.file(first)),
        }
    }

    async fn next(&mut self) -> Event {
        match self.receiver.next().await {
            Ok(Some(event)) => event,
            Ok(None) => Event::Failed(inference("the synthesis panicked")),
            Err(_) => Event::Failed(late(self.app.limits.longest_request)),
        }
    }

    /// A WAV starts with its length, so it is kept back until it is complete,
    /// but not for long, and not if it is large: then it goes out with its
    /// length unknown.
    async fn whole_wav(mut self, first: Bytes) -> Result<Response, Failure> {
        let mut data = first.to_vec();
        let patience = tokio::time::Instant::now() + self.app.limits.whole_wav_wait;
        while data.len() <= self.app.limits.whole_wav_bytes {
            match tokio::time::timeout_at(patience, self.next()).await {
                Ok(Event::Audio(bytes)) => data.extend_from_slice(&bytes),
                Ok(Event::Failed(failure)) => return Err(failure),
                Ok(Event::Done(spoken)) => {
                    self.served.answered(self.first_audio);
                    let length = u32::try_from(data.len()).ok();
                    data.splice(0..0, self.wav_header(length));
                    let mut response = self.response(Body::from(data));
                    response.headers_mut().insert(AUDIO_MS, milliseconds(&spoken));
                    response.headers_mut().remove(header::TRAILER);
                    return Ok(response);
                }
                Err(_) => break,
            }
        }
        Ok(self.begun_wav(&data))
    }

    fn begun_wav(self, data: &[u8]) -> Response {
        let start = [&self.wav_header(None), data].concat();
        self.file(start.into())
    }

    /// The file itself, streamed.
    fn file(self, first: Bytes) -> Response {
        let headers = self.response(Body::empty());
        let rest = stream::unfold(Some(self), |playback| async {
            let mut playback = playback?;
            match playback.next().await {
                Event::Audio(bytes) => Some((Ok(Frame::data(bytes)), Some(playback))),
                Event::Done(spoken) => {
                    playback.served.answered(playback.first_audio);
                    Some((Ok(length(&spoken)), None))
                }
                Event::Failed(failure) => {
                    playback.fail(&failure);
                    // What has been made goes out first: an error drops the rest.
                    tokio::task::yield_now().await;
                    Some((Err(CutOff(failure.code.entry().code)), None))
                }
            }
        });
        headers.map(|_| streamed(first, rest))
    }

    /// The file in events.
    fn events(self, first: Bytes) -> Response {
        let mut headers = self.response(Body::empty());
        let content_type = HeaderValue::from_static("text/event-stream");
        headers.headers_mut().insert(header::CONTENT_TYPE, content_type);
        let mut start = Vec::new();
        if self.format == AudioFormat::Wav {
            start.extend(self.wav_header(None));
        }
        start.extend_from_slice(&first);
        let rest = stream::unfold(Some(Saying::Goes(self)), |playback| async {
            let (frame, rest) = match playback? {
                Saying::Ended(spoken) => (length(&spoken), None),
                Saying::Goes(mut playback) => match playback.next().await {
                    Event::Audio(bytes) => (Frame::data(delta(&bytes)), Some(Saying::Goes(playback))),
                    Event::Done(spoken) => {
                        playback.served.answered(playback.first_audio);
                        (Frame::data(done(&spoken, &playback)), Some(Saying::Ended(spoken)))
                    }
                    Event::Failed(failure) => {
                        playback.fail(&failure);
                        (Frame::data(error(&failure, playback.record.request_id())), None)
                    }
                },
            };
            Some((Ok(frame), rest))
        });
        headers.map(|_| streamed(delta(&start), rest))
    }

    /// The answer has begun, so that its failure can only break it off.
    fn fail(&self, failure: &Failure) {
        self.record.fail(failure);
        self.served.failed(failure);
    }

    fn wav_header(&self, data_bytes: Option<u32>) -> Vec<u8> {
        wav::header(self.sample_rate, data_bytes, self.marks.as_deref())
    }

    fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        if let Ok(content_type) = self.format.content_type(self.sample_rate).parse() {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response.headers_mut().insert(SAMPLE_RATE, self.sample_rate.into());
        if let Some(Ok(marks)) = self.marks.as_ref().map(|marks| marks.header().parse()) {
            response.headers_mut().insert(SYNTHETIC, marks);
        }
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static(AUDIO_MS));
        // A proxy of nginx's kind would else keep the stream back.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// How far events have come.
enum Saying {
    Goes(Playback),
    /// All has been said; what was made is told in the trailer.
    Ended(Spoken),
}

fn streamed(first: Bytes, rest: impl Stream<Item = Result<Frame<Bytes>, CutOff>> + Send + 'static) -> Body {
    use futures::StreamExt;
    Body::new(StreamBody::new(stream::iter([Ok(Frame::data(first))]).chain(rest)))
}

/// The answer's trailer.
fn length(spoken: &Spoken) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([(HeaderName::from_static(AUDIO_MS), milliseconds(spoken))]))
}

fn milliseconds(spoken: &Spoken) -> HeaderValue {
    (spoken.audio.as_millis() as u64).into()
}

fn event(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

fn delta(audio: &[u8]) -> Bytes {
    event(&json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(audio)}))
}

/// There are no tokens here; OpenAI's clients expect the fields, so they count
/// characters in and milliseconds out.
fn done(spoken: &Spoken, playback: &Playback) -> Bytes {
    let Playback { chars, cut_from, unspoken, .. } = *playback;
    let milliseconds = spoken.audio.as_millis() as u64;
    let usage = json!({
        "input_tokens": chars,
        "output_tokens": milliseconds,
        "total_tokens": chars as u64 + milliseconds,
    });
    let mut done = json!({"type": "speech.audio.done", "usage": usage, "truncated": cut_from.is_some()});
    if let Some(sent) = cut_from {
        done["input_chars"] = sent.into();
        done["spoken_chars"] = chars.into();
    }
    if unspoken.skipped_chars > 0 {
        done["skipped_chars"] = unspoken.skipped_chars.into();
    }
    if unspoken.no_words {
        done["no_words"] = true.into();
    }
    event(&done)
}

fn error(failure: &Failure, request_id: &str) -> Bytes {
    event(&json!({"type": "error", "error": failure.body(request_id).error}))
}
