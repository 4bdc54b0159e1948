//! The mirror: while a candidate is tried, a share of a pool's requests is passed
//! on to the judge, which puts them to both models itself.
//!
//! What is passed on is the request alone. How the caller's own answer was come
//! by, by a second attempt or a second pod, from one that is busy or idle, tells
//! nothing of the model, and whoever compared it with the candidate's would
//! compare the gateway, too. Which requests are chosen does not depend on their
//! answers either, but for two that no model could help: those that a pod found
//! at fault, and those that were refused for want of room.

mod share;
mod tell;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use ttsfleet_wire::{judge::MOST_TEXT_CHARS, route::MirrorRoute};

use crate::{
    limit::Limited,
    metrics::{Metrics, MirrorLabels},
    pool::{Pool, Pools},
    route::Tier,
    upstream::Upstream,
};
use share::Share;

/// For how long nothing is passed on after the judge has said that it has no room.
const JUDGE_PAUSE: Duration = Duration::from_secs(1);
/// Requests that are being passed on at once in one gateway, whichever pools they
/// are of: each holds a body, and with it at most 64 KiB.
const AT_ONCE: usize = 8;

/// All pools whose requests are passed on to a judge.
pub struct Mirrors {
    /// The judges, by the name of their Service.
    pub services: Pools,
    by_pool: ArcSwap<HashMap<String, Arc<Mirroring>>>,
    common: Arc<Common>,
}

/// What the mirrors of a gateway share, and what outlives their rules.
struct Common {
    /// Not the callers' own: what a judge does to its connections stays there.
    upstream: Upstream,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
}

/// What became of a request that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The judge has it.
    PassedOn,
    /// The judge has no room.
    JudgeFull,
    /// The judge does not want it.
    JudgeRefused,
    /// There is no judge, or it does not answer.
    JudgeAway,
    /// As many as allowed are being passed on.
    NoPlace,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Self::PassedOn => "passed-on",
            Self::JudgeFull => "judge-full",
            Self::JudgeRefused => "judge-refused",
            Self::JudgeAway => "judge-away",
            Self::NoPlace => "no-place",
        }
    }
}

/// One pool's mirror.
struct Mirroring {
    rule: MirrorRoute,
    judge: Arc<Pool>,
    share: Mutex<Share>,
    judge_full_until: Mutex<Option<Instant>>,
    common: Arc<Common>,
}

impl Mirrors {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let common = Arc::new(Common { upstream: Upstream::default(), metrics, places });
        Self { services: Pools::default(), by_pool: ArcSwap::default(), common }
    }

    /// Takes the rules; a mirror whose rule stays goes on as it is.
    pub(crate) fn set(&self, rules: &[MirrorRoute]) {
        self.services.set_names(rules.iter().map(|rule| rule.judge.as_str()));
        let known = self.by_pool.load_full();
        let kept = |rule: &MirrorRoute| {
            let same = known.get(&rule.pool).filter(|mirroring| mirroring.rule == *rule).map(Arc::clone);
            Some((rule.pool.clone(), same.or_else(|| self.begin(rule).map(Arc::new))?))
        };
        self.by_pool.store(Arc::new(rules.iter().filter_map(kept).collect()));
    }

    fn begin(&self, rule: &MirrorRoute) -> Option<Mirroring> {
        Some(Mirroring {
            judge: self.services.get(&rule.judge)?,
            share: Mutex::new(Share::new(rule.percent)),
            judge_full_until: Mutex::default(),
            common: Arc::clone(&self.common),
            rule: rule.clone(),
        })
    }

    /// Passes a request on, if it is chosen. It is one of the pool that its tier
    /// prefers, whichever pool has answered it.
    pub(crate) fn pass_on(&self, tier: &Tier, limited: &Limited) {
        let by_pool = self.by_pool.load();
        let mirroring = tier.pools.first().and_then(|pool| by_pool.get(pool));
        let Some(mirroring) = mirroring.filter(|_| is_comparable(limited)) else { return };
        if let Some(ticket) = mirroring.choose() {
            tokio::spawn(tell::tell(ticket, Bytes::clone(&limited.body), limited.meant.clone()));
        }
    }
}

/// Whether both models may be asked this, and the judge listens to so much.
fn is_comparable(limited: &Limited) -> bool {
    !limited.names_version && limited.spoken_chars <= MOST_TEXT_CHARS
}

impl Mirroring {
    /// Whether the next request is passed on. Chosen ones are counted even where
    /// they are not.
    fn choose(self: &Arc<Self>) -> Option<Ticket> {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        if !share.takes_next(&mut rand::rng()) {
            return None;
        }
        drop(share);
        let fate = if !self.judge.has_pods() {
            Fate::JudgeAway
        } else if self.judge_is_full() {
            Fate::JudgeFull
        } else if let Ok(place) = Arc::clone(&self.common.places).try_acquire_owned() {
            return Some(Ticket { mirroring: Arc::clone(self), fate: Fate::JudgeAway, _place: place });
        } else {
            Fate::NoPlace
        };
        self.count(fate);
        None
    }

    fn judge_is_full(&self) -> bool {
        let until = self.judge_full_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn judge_said_full(&self) {
        let mut until = self.judge_full_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + JUDGE_PAUSE);
    }

    fn count(&self, fate: Fate) {
        let labels = MirrorLabels { pool: self.rule.pool.clone(), outcome: fate.name() };
        self.common.metrics.mirrored.get_or_create(&labels).inc();
    }
}

/// A place among those that are being passed on, and what becomes of one; counted
/// when it is over, however it ends.
struct Ticket {
    mirroring: Arc<Mirroring>,
    fate: Fate,
    _place: OwnedSemaphorePermit,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mirroring.count(self.fate);
    }
}
