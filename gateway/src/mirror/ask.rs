//! Asks the candidate and tells the judge.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::BytesMut;
use http_body_util::BodyExt;
use ttsfleet_wire::{
    error::ErrorCode,
    judge::{MOST_PAIR_BYTES, PAIRS_PATH, Pair, Side},
    speech::SpeechRequest,
};

use super::{
    Fate, Mirroring, Ticket,
    tap::{Said, Spoken},
};
use crate::{
    attempts::Outcome,
    upstream::{Answer, Forward},
};

/// How long the judge may take to take a pair.
const JUDGE_TIMEOUT: Duration = Duration::from_secs(5);
/// The candidate has no end where the stable model had one.
const TOO_LONG: &str = "AudioTooLong";

/// One side's audio, or the code it failed with.
type Made = Result<Spoken, &'static str>;

/// Has the candidate speak the same, and hands both to the judge.
pub(super) async fn ask(mut ticket: Ticket, forward: Forward, baseline: Spoken) {
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
        match mirroring.upstream.attempt(forward, pod.address, time).await {
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
    let mut audio = BytesMut::from(&answer.first[..]);
    let mut rest = answer.rest;
    while let Some(frame) = match &mut rest {
        Some(body) => body.frame().await,
        None => None,
    } {
        let frame = frame.map_err(|_| ErrorCode::UpstreamFailed.entry().code)?;
        if let Ok(bytes) = frame.into_data() {
            if audio.len() + bytes.len() > most {
                return Err(TOO_LONG);
            }
            audio.extend_from_slice(&bytes);
        }
    }
    let total = answer.asked.elapsed();
    let said = Said::from_headers(&answer.head.headers);
    Ok(Spoken { said, audio, first_after: answer.first_after, total })
}

async fn tell(mirroring: &Mirroring, forward: &Forward, baseline: Spoken, candidate: Made) -> Fate {
    let Ok(request) = SpeechRequest::parse(&forward.body) else { return Fate::JudgeRefused };
    let pair = move || {
        let (baseline, candidate) = (side(Ok(baseline)), side(candidate));
        serde_json::to_vec(&Pair { text: request.input, baseline, candidate })
    };
    // Megabytes in base64 take a while, in which this thread would serve callers.
    let body = match tokio::task::spawn_blocking(pair).await {
        Ok(Ok(body)) if body.len() <= MOST_PAIR_BYTES => body,
        _ => return Fate::TooLong,
    };
    let Some(judge) = mirroring.judge.any() else { return Fate::JudgeAway };
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
    let post = Forward { method: Method::POST, path: PAIRS_PATH, headers, body: body.into() };
    let sent = tokio::time::timeout(JUDGE_TIMEOUT, mirroring.upstream.send(&post, judge.address)).await;
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

fn side(made: Made) -> Side {
    match made {
        Ok(Spoken { said, audio, first_after, total }) => Side::Audio {
            digest: said.digest,
            content_type: said.content_type,
            sample_rate: said.sample_rate,
            audio: BASE64_STANDARD.encode(&audio),
            first_audio_ms: milliseconds(first_after.saturating_sub(said.queued)),
            total_ms: milliseconds(total.saturating_sub(said.queued)),
        },
        Err(code) => Side::Failed { code: code.to_owned() },
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
