//! Copies an answer on its way to the caller.

use std::time::{Duration, Instant};

use axum::{
    body::Bytes,
    http::{HeaderMap, header},
};
use bytes::BytesMut;
use ttsfleet_wire::{error::ErrorCode, headers};

use super::{Fate, Ticket, ask::ask};
use crate::upstream::{Answer, Forward};

/// A caller that held up its answer for less than this was not slow.
const NOT_SLOW: Duration = Duration::from_millis(20);
/// And neither was one that did so for less than this part of the time.
const SMALL_PART: u32 = 10;

/// What an answer's headers say of its audio.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) digest: String,
    pub(super) content_type: String,
    /// 0 where they do not say.
    pub(super) sample_rate: u32,
    /// Spent waiting for a synthesis thread.
    pub(super) queued: Duration,
}

impl Said {
    pub(super) fn from_headers(map: &HeaderMap) -> Self {
        let text = |name: &str| map.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            digest: text(headers::DIGEST).to_owned(),
            content_type: text(header::CONTENT_TYPE.as_str()).to_owned(),
            sample_rate: text(headers::SAMPLE_RATE).parse().unwrap_or_default(),
            queued: Duration::from_millis(text(headers::QUEUE_MS).parse().unwrap_or_default()),
        }
    }
}

/// One side's whole audio.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) said: Said,
    pub(super) audio: BytesMut,
    /// From asking the pod to its first audio, and to its last.
    pub(super) first_after: Duration,
    pub(super) total: Duration,
}

/// One side's audio, or the code it failed with.
pub(super) type Made = Result<Spoken, &'static str>;

/// Copies an answer. Dropped before its end, it was one whose caller left.
pub(crate) struct Tap {
    ticket: Ticket,
    forward: Forward,
    /// What the stable model failed with at first: then only the end of the
    /// answer is waited for.
    failed: Option<&'static str>,
    said: Said,
    audio: BytesMut,
    /// Bytes handed to the caller.
    passed: usize,
    /// The audio's length, where the pod declares it: after its last byte
    /// nobody asks for more.
    declared: Option<usize>,
    asked: Instant,
    first_after: Duration,
    /// When the caller was last handed something, and how long it took to come
    /// for more, in all.
    handed: Option<Instant>,
    held_up: Duration,
}

impl Tap {
    pub(super) fn new(
        ticket: Ticket,
        answer: &Answer,
        forward: &Forward,
        failed: Option<&'static str>,
    ) -> Self {
        let map = &answer.head.headers;
        let length = map.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            ticket,
            forward: forward.clone(),
            failed,
            said: Said::from_headers(map),
            audio: BytesMut::new(),
            passed: 0,
            declared: length,
            asked: answer.asked,
            first_after: answer.first_after,
            handed: None,
            held_up: Duration::ZERO,
        }
    }

    /// Copies a piece that is about to be handed to the caller; none when that
    /// was the end, or too much.
    pub(crate) fn take(mut self, bytes: &Bytes) -> Option<Self> {
        self.passed += bytes.len();
        if self.failed.is_none() {
            if self.passed > self.ticket.mirroring.rule.max_bytes / 2 {
                self.ticket.fate = Fate::TooLong;
                return None;
            }
            self.audio.extend_from_slice(bytes);
        }
        self.handed = Some(Instant::now());
        if self.declared == Some(self.passed) {
            self.ended();
            return None;
        }
        Some(self)
    }

    /// The caller has taken what it was handed and wants more.
    pub(crate) fn caller_is_back(&mut self) {
        if let Some(handed) = self.handed.take() {
            self.held_up += handed.elapsed();
        }
    }

    /// The answer broke off.
    pub(crate) fn broke(self, code: ErrorCode) {
        self.end(Some(code.entry().code));
    }

    /// The answer is whole.
    pub(crate) fn ended(self) {
        self.end(None);
    }

    /// The caller has all that it gets: now the candidate is asked.
    fn end(self, broke: Option<&'static str>) {
        let total = self.asked.elapsed();
        let held_up = self.held_up > NOT_SLOW.max(total / SMALL_PART);
        let Self { mut ticket, forward, failed, said, audio, first_after, .. } = self;
        let late = total > ticket.mirroring.rule.timeout / 2;
        let baseline = match (failed, broke) {
            (Some(code), _) => Ok(Err(code)),
            // That may be why it broke off, too: the pod does not wait for ever.
            _ if held_up => Err(Fate::CallerSlow),
            (None, Some(code)) => Ok(Err(code)),
            (None, None) if late => Err(Fate::TooLong),
            (None, None) => Ok(Ok(Spoken { said, audio, first_after, total })),
        };
        match baseline {
            Ok(baseline) => drop(tokio::spawn(ask(ticket, forward, baseline))),
            Err(fate) => ticket.fate = fate,
        }
    }
}
