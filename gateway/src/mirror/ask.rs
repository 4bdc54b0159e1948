//! Asks the candidate and tells the judge.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{Audio, MOST_PAIR_BYTES, PAIRS_PATH, Pair, Side},
    speech::SpeechRequest,
};

use super::{
    Fate, Mirroring, Ticket,
    tap::{Made, Said, Spoken},
};
use crate::{
    attempts::Outcome,
    upstream::{Answer, Forward},
};

/// How long the judge may take to take a pair.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(5);
/// The candidate is more than twice as long as the stable model may be.
const TOO_LONG: &str = "AudioTooLong";
/// Bytes of a pair's JSON beside its text and its audio, at most.
const BESIDE: usize = 1 << 10;

/// Has the candidate speak the same, and hands both to the judge.
pub(super) async fn ask(mut ticket: Ticket, forward: Forward, baseline: Made) {
    ticket.fate = match candidate(&ticket.mirroring, &forward).await {
        Ok(made) => tell(&ticket.mirroring, &forward, baseline, made).await,
        Err(fate) => fate,
    };
}

/// What the candidate makes of the request. Neither a pod that is not there nor
/// one that is full says anything of the model.
async fn candidate(mirroring: &Mirroring, forward: &Forward) -> Result<Made, Fate> {
    let pod = mirroring.candidate.any().ok_or(Fate::CandidateAway)?;
    let (time, most) = (mirroring.rule.timeout, mirroring.rule.max_bytes);
    let speak = async {
        match mirroring.common.upstream.attempt(forward, pod.address, time).await {
            Outcome::Answer(answer) => Ok(collect(answer, most).await),
            Outcome::Declined(answer) => {
                Ok(Err(answer.code.unwrap_or(ErrorCode::UpstreamFailed).entry().code))
            }
            Outcome::Failed(failure) => Ok(Err(failure.code.entry().code)),
            Outcome::Full(_) => Err(Fate::CandidateBusy),
            Outcome::Unreachable(_) => Err(Fate::CandidateAway),
        }
    };
    let late = || Ok(Err(ErrorCode::UpstreamTimeout.entry().code));
    tokio::time::timeout(time, speak).await.unwrap_or_else(|_| late())
}

async fn collect(answer: Answer, most: usize) -> Made {
    let bounded = |length: usize| if length > most { Err(TOO_LONG) } else { Ok(()) };
    bounded(answer.first.len())?;
    let mut audio = BytesMut::from(&answer.first[..]);
    let mut rest = answer.rest;
    while let Some(frame) = match &mut rest {
        Some(body) => body.frame().await,
        None => None,
    } {
        let frame = frame.map_err(|_| ErrorCode::UpstreamFailed.entry().code)?;
        if let Ok(bytes) = frame.into_data() {
            bounded(audio.len() + bytes.len())?;
            audio.extend_from_slice(&bytes);
        }
    }
    let total = answer.asked.elapsed();
    let said = Said::from_headers(&answer.head.headers);
    Ok(Spoken { said, audio, first_after: answer.first_after, total })
}

async fn tell(mirroring: &Mirroring, forward: &Forward, baseline: Made, candidate: Made) -> Fate {
    let Ok(request) = SpeechRequest::parse(&forward.body) else { return Fate::JudgeRefused };
    let pair = Pair { text: request.input, baseline: side(baseline), candidate: side(candidate) };
    let _telling = mirroring.common.telling.lock().await;
    // Megabytes in base64 take a while, in which this thread would serve callers.
    let body = match tokio::task::spawn_blocking(move || encode(&pair)).await {
        Ok(Ok(body)) if body.len() <= MOST_PAIR_BYTES => body,
        _ => return Fate::TooLong,
    };
    let Some(judge) = mirroring.judge.any() else { return Fate::JudgeAway };
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let post = Forward { method: Method::POST, path: PAIRS_PATH, headers, body: body.into() };
    let sent =
        tokio::time::timeout(JUDGE_TIMEOUT, mirroring.common.upstream.send(&post, judge.address)).await;
    match sent.map(|answer| answer.map(|answer| answer.status())) {
        Ok(Ok(status)) if status.is_success() => Fate::Judged,
        Ok(Ok(StatusCode::TOO_MANY_REQUESTS)) => {
            mirroring.judge_said_full();
            Fate::JudgeFull
        }
        Ok(Ok(status)) if status.is_client_error() => Fate::JudgeRefused,
        _ => Fate::JudgeAway,
    }
}

/// A pair in JSON, in as much memory as it needs.
fn encode(pair: &Pair) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(room(pair));
    serde_json::to_writer(&mut body, pair)?;
    Ok(body)
}

/// Bytes of a pair's JSON, a few more than there will be.
fn room(pair: &Pair) -> usize {
    let audio = |side: &Side| match side {
        Side::Audio { audio, .. } => audio.0.len().div_ceil(3) * 4,
        Side::Failed { .. } => 0,
    };
    // Quotes and line breaks take two.
    BESIDE + 2 * pair.text.len() + audio(&pair.baseline) + audio(&pair.candidate)
}

fn side(made: Made) -> Side {
    match made {
        Ok(Spoken { said, audio, first_after, total }) => Side::Audio {
            digest: said.digest,
            content_type: said.content_type,
            sample_rate: said.sample_rate,
            audio: Audio(audio.into()),
            first_audio_ms: milliseconds(first_after.saturating_sub(said.queued)),
            total_ms: milliseconds(total.saturating_sub(said.queued)),
        },
        Err(code) => Side::Failed { code: code.to_owned() },
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_written_into_room_that_need_not_grow() {
        let spoken = |length: usize| Side::Audio {
            digest: format!("sha256:{}", "a".repeat(64)),
            content_type: "audio/wav".to_owned(),
            sample_rate: 24_000,
            audio: Audio(vec![7; length]),
            first_audio_ms: 1.5,
            total_ms: 29_999.5,
        };
        let text = "\"No,\" he said.\n".repeat(30);
        for length in [0, 1, 2, 100_000] {
            let pair = Pair { text: text.clone(), baseline: spoken(length), candidate: spoken(2 * length) };
            let (body, room) = (encode(&pair).unwrap(), room(&pair));
            assert!(body.len() <= room && room - body.len() < 2 * BESIDE, "{}, {room}", body.len());
            assert_eq!(body.capacity(), room);
            assert_eq!(serde_json::from_slice::<Pair>(&body).unwrap(), pair);
        }
    }
}
