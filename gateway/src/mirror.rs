//! The mirror: while a candidate is tried, a share of a pool's requests is put
//! to the candidate's pods as well, and both audios go to the judge.
//!
//! The candidate is asked when the caller has all of its answer, and not beside
//! it: the two never share a processor while somebody waits, a request that
//! fails or whose caller leaves costs the candidate nothing, and nothing that
//! the candidate does can reach the caller. The times compared are those from
//! asking a pod to its first audio and to its last, without the wait for a
//! synthesis thread, which a pod with few requests does not have. Where the
//! caller took its audio slowly, the time was the caller's, and the sample is
//! dropped.

mod ask;
mod share;
mod tap;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    attempts::Answered,
    limit::Limited,
    metrics::{Metrics, MirrorLabels},
    pool::{Pool, Pools},
    route::{Mirror, Tier},
    upstream::{Answer, Forward, Upstream},
};
use share::Share;
pub(crate) use tap::Tap;

/// For how long nothing is copied after the judge has said that it has no room.
const JUDGE_PAUSE: Duration = Duration::from_secs(1);
/// Formats that the judge can read.
const FORMATS: [&str; 4] = ["wav", "pcm", "flac", "mp3"];
/// What is spoken where the caller names no format.
const DEFAULT_FORMAT: &str = "mp3";

/// All pools whose requests are also put to a candidate.
pub struct Mirrors {
    /// The candidates' pods and the judges, by the name of their Service.
    pub services: Pools,
    by_pool: ArcSwap<HashMap<String, Arc<Mirroring>>>,
    /// Not the callers' own: what a candidate does to its connections stays there.
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
}

/// What became of a request that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The judge has both audios, or one and the other's failure.
    Judged,
    /// The judge has no room.
    JudgeFull,
    /// The judge does not want it.
    JudgeRefused,
    /// There is no judge, or it does not answer.
    JudgeAway,
    /// As many copies as allowed are under way.
    NoPlace,
    /// An audio is longer than allowed.
    TooLong,
    /// The caller's own answer broke off.
    BrokeOff,
    /// The caller left before the end.
    CallerGone,
    /// The caller took its audio slowly.
    CallerSlow,
    /// The candidate has no pod that could be asked.
    CandidateAway,
    /// The candidate's pod has no room, which says nothing of the candidate.
    CandidateBusy,
}

impl Fate {
    fn name(self) -> &'static str {
        match self {
            Self::Judged => "judged",
            Self::JudgeFull => "judge-full",
            Self::JudgeRefused => "judge-refused",
            Self::JudgeAway => "judge-away",
            Self::NoPlace => "no-place",
            Self::TooLong => "too-long",
            Self::BrokeOff => "broke-off",
            Self::CallerGone => "caller-gone",
            Self::CallerSlow => "caller-slow",
            Self::CandidateAway => "candidate-away",
            Self::CandidateBusy => "candidate-busy",
        }
    }
}

/// One pool's mirror.
struct Mirroring {
    rule: Mirror,
    candidate: Arc<Pool>,
    judge: Arc<Pool>,
    share: Mutex<Share>,
    places: Arc<Semaphore>,
    judge_full_until: Mutex<Option<Instant>>,
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
}

impl Mirrors {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let (services, by_pool, upstream) = (Pools::default(), ArcSwap::default(), Arc::default());
        Self { services, by_pool, upstream, metrics }
    }

    /// Takes the rules; a mirror whose rule stays goes on as it is.
    pub(crate) fn set(&self, rules: &[Mirror]) {
        self.services.set_names(rules.iter().flat_map(|rule| [rule.service.as_str(), rule.judge.as_str()]));
        let known = self.by_pool.load_full();
        let kept = |rule: &Mirror| {
            let same = known.get(&rule.pool).filter(|mirroring| mirroring.rule == *rule).map(Arc::clone);
            Some((rule.pool.clone(), same.or_else(|| self.begin(rule).map(Arc::new))?))
        };
        self.by_pool.store(Arc::new(rules.iter().filter_map(kept).collect()));
    }

    fn begin(&self, rule: &Mirror) -> Option<Mirroring> {
        Some(Mirroring {
            candidate: self.services.get(&rule.service)?,
            judge: self.services.get(&rule.judge)?,
            share: Mutex::new(Share::new(rule.percent)),
            places: Arc::new(Semaphore::new(rule.concurrency)),
            judge_full_until: Mutex::default(),
            upstream: Arc::clone(&self.upstream),
            metrics: Arc::clone(&self.metrics),
            rule: rule.clone(),
        })
    }

    /// What copies this answer, if it is chosen.
    pub(crate) fn tap(
        &self,
        answered: &Answered<Answer>,
        tier: &Tier,
        limited: &Limited,
        forward: &Forward,
    ) -> Option<Tap> {
        let by_pool = self.by_pool.load();
        let pool = &answered.call.pool.name;
        let mirroring = by_pool.get(pool)?;
        let degraded = tier.pools.first() != Some(pool);
        if degraded || !answered.answer.head.status.is_success() || !is_comparable(limited) {
            return None;
        }
        let ticket = mirroring.choose()?;
        Some(Tap::new(ticket, &answered.answer, forward))
    }
}

/// Whether the judge could read the audio, and another version may speak it.
fn is_comparable(limited: &Limited) -> bool {
    let format = limited.format.as_deref().unwrap_or(DEFAULT_FORMAT);
    !limited.events && !limited.names_version && FORMATS.contains(&format)
}

impl Mirroring {
    /// Whether the next request is copied. Chosen ones are counted even where
    /// they are not.
    fn choose(self: &Arc<Self>) -> Option<Ticket> {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        if !share.takes_next(&mut rand::rng()) {
            return None;
        }
        drop(share);
        let fate = if self.candidate.endpoints().is_empty() {
            Fate::CandidateAway
        } else if self.judge.endpoints().is_empty() {
            Fate::JudgeAway
        } else if self.judge_is_full() {
            Fate::JudgeFull
        } else if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(Ticket { mirroring: Arc::clone(self), _place: place, fate: Fate::CallerGone });
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
        self.metrics.mirrored.get_or_create(&labels).inc();
    }
}

/// A place among the copies under way, and what becomes of one; counted when it
/// is over, however it ends.
struct Ticket {
    mirroring: Arc<Mirroring>,
    _place: OwnedSemaphorePermit,
    fate: Fate,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mirroring.count(self.fate);
    }
}
