//! One pod as the gateway sees it.

use std::{
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{
    breaker::{Admission, Breaker, Resort, State},
    choice::{Look, Purpose, Standing},
    flow::Flow,
    health::{Check, Checked, Health},
    outcome::Refusal,
    refusals::{Refusals, Sent},
};

/// A pod's speech port, and what is known of the pod.
#[derive(Debug)]
pub struct Endpoint {
    /// Address of the speech port.
    pub address: SocketAddr,
    /// Tells a pod from an earlier one of the same address.
    pub uid: String,
    outstanding: AtomicUsize,
    has_checks: AtomicBool,
    lost: Notify,
    known: Mutex<Known>,
}

/// What is known of a pod.
#[derive(Debug)]
pub(crate) struct Known {
    /// Whether the cluster sends requests there.
    offered: bool,
    pub(crate) checked: Checked,
    pub(crate) breaker: Breaker,
    pub(crate) refusals: Refusals,
}

impl Endpoint {
    /// A pod nothing is known of.
    pub fn new(address: SocketAddr, uid: String) -> Self {
        let now = now();
        let (checked, breaker, refusals) = (Checked::new(now), Breaker::new(now), Refusals::default());
        Self {
            address,
            uid,
            outstanding: AtomicUsize::new(0),
            has_checks: AtomicBool::new(false),
            lost: Notify::new(),
            known: Mutex::new(Known { offered: true, checked, breaker, refusals }),
        }
    }

    /// Takes note of whether the cluster sends requests there. A pod that is
    /// not ready yet, or goes away, gets none, and goes on with those it has.
    pub fn offer(&self, offered: bool) {
        let mut known = self.known();
        if offered && !known.offered {
            // What kept it away is over: what was heard of it before is old.
            known.checked = Checked::new(now());
        }
        known.offered = offered;
    }

    /// Whether the cluster sends requests there.
    pub fn is_offered(&self) -> bool {
        self.known().offered
    }

    /// Requests of this gateway in progress there.
    pub fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub(crate) fn begins(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ends(&self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
    }

    /// How it is, by what is known.
    pub fn health(&self) -> Health {
        self.known().health()
    }

    /// Whether it can be called: it is ready, and not left alone.
    pub fn is_able(&self, now: Instant) -> bool {
        let known = self.known();
        known.health() == Health::Ready && known.breaker.state(now) != State::Open
    }

    /// Where its breaker is.
    pub fn state(&self, now: Instant) -> State {
        self.known().breaker.state(now)
    }

    /// Resolves when the pod turns out to answer nothing any more.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Takes the outcome of a health check that began then.
    pub fn checked(&self, check: Check, begun: Instant) {
        let lost = self.known().checked.checked(check, begun, now());
        self.tell_if(lost);
    }

    /// It does not even accept a connection, which was tried from then on.
    pub fn unreachable(&self, begun: Instant) {
        let lost = self.known().checked.unreachable(begun, now());
        self.tell_if(lost);
    }

    fn tell_if(&self, lost: bool) {
        if lost {
            self.lost.notify_waiters();
        }
    }

    /// It answered a call that was sent then.
    pub(crate) fn answered(&self, sent: Instant) {
        self.known().checked.answered(sent, now());
    }

    /// It refused a call for want of room, or as one that takes none.
    pub(crate) fn refused(&self, refusal: &Refusal, sent: Sent) {
        let mut known = self.known();
        if matches!(refusal.failure.code, ErrorCode::Draining | ErrorCode::ModelNotReady) {
            known.checked.declared_unready(now());
        }
        known.refusals.refused(refusal, sent, now());
    }

    /// Whether it is one to call, and if so how busy it is.
    pub(crate) fn look(&self, flow: Flow, purpose: Purpose, now: Instant) -> Look {
        let load = self.outstanding();
        let known = self.known();
        if !known.offered {
            return Look::Absent;
        }
        let standing = match known.refusals.peek(flow, load, now) {
            Some(left) => Standing::Full(left),
            None => match known.breaker.peek(now, Resort::First) {
                Admission::Call => Standing::Willing { load },
                Admission::Probe if purpose == Purpose::Answer => Standing::Willing { load },
                _ if purpose == Purpose::Hedge => Standing::Open(Duration::ZERO),
                _ => match known.breaker.peek(now, Resort::Last) {
                    Admission::Refused(left) => Standing::Open(left),
                    Admission::Call | Admission::Probe => Standing::AtNeed,
                },
            },
        };
        if known.checked.health() == Health::Ready { Look::Ready(standing) } else { Look::Unready(standing) }
    }

    /// Asks for a call, which is then counted as sent.
    pub(crate) fn admit(&self, now: Instant, resort: Resort) -> Admission {
        let mut known = self.known();
        let admission = known.breaker.admit(now, resort);
        if !matches!(admission, Admission::Refused(_)) {
            known.refusals.sent(now);
        }
        admission
    }

    /// What it would answer now for want of room, if that is known.
    pub(crate) fn refusal(&self, flow: Flow, now: Instant) -> Option<Failure> {
        let outstanding = self.outstanding();
        self.known().refusals.refusal(flow, outstanding, now)
    }

    /// Whether its health checks have yet to begin; asked once.
    pub(crate) fn wants_checks(&self) -> bool {
        !self.has_checks.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// How the pod is, by what is known.
    pub(crate) fn health(&self) -> Health {
        match self.checked.health() {
            Health::Ready if !self.offered => Health::Unready,
            health => health,
        }
    }

    /// Whether it goes away or changes its model, and ends what it has begun.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.offered || self.checked.health() == Health::Unready
    }
}

/// The runtime's clock, which tests can hold.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
