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
//!
//! Callers see answers that another attempt may have saved; the candidate has
//! one attempt. So that both are measured alike, the stable model has failed
//! where the caller's first attempt failed or its answer broke off, and the
//! candidate is asked all the same. And so that no bound fails the one and not
//! the other, answers longer or slower than half of what the candidate is
//! allowed are not copied: it fails by a bound only at twice as much.

mod ask;
mod share;
mod tap;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

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
    common: Arc<Common>,
}

/// What the mirrors of a gateway share, and what outlives their rules.
struct Common {
    /// Not the callers' own: what a candidate does to its connections stays there.
    upstream: Upstream,
    metrics: Arc<Metrics>,
    /// Copies under way: each holds two audios, and the gateway's memory is one.
    copies: AtomicUsize,
    /// Held while the judge is told of a pair: in JSON it is larger than both
    /// audios, and there is room for one such.
    telling: tokio::sync::Mutex<()>,
}

impl Common {
    /// Counts one more copy, if fewer than `most` are under way.
    fn enter(&self, most: usize) -> bool {
        let one_more = |copies: usize| (copies < most).then_some(copies + 1);
        self.copies.try_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn leave(&self) {
        self.copies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What became of a request that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The judge has what both made of it: audio, or how they failed.
    Judged,
    /// The judge has no room.
    JudgeFull,
    /// The judge does not want it.
    JudgeRefused,
    /// There is no judge, or it does not answer.
    JudgeAway,
    /// As many copies as allowed are under way.
    NoPlace,
    /// The caller's own answer is so long, or took so long, that a candidate
    /// might fail by its bounds where the stable model does not.
    TooLong,
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
    judge_full_until: Mutex<Option<Instant>>,
    common: Arc<Common>,
}

impl Mirrors {
    /// None yet.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        let (upstream, copies, telling) = (Upstream::default(), AtomicUsize::default(), Default::default());
        let common = Arc::new(Common { upstream, metrics, copies, telling });
        Self { services: Pools::default(), by_pool: ArcSwap::default(), common }
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
            judge_full_until: Mutex::default(),
            common: Arc::clone(&self.common),
            rule: rule.clone(),
        })
    }

    /// What copies this answer, if it is chosen. Where the first attempt failed,
    /// the sample is of the pool that it was made in, whoever answered then.
    pub(crate) fn tap(
        &self,
        answered: &Answered<Answer>,
        tier: &Tier,
        limited: &Limited,
        forward: &Forward,
    ) -> Option<Tap> {
        let by_pool = self.by_pool.load();
        let failed = answered.failed_first.as_ref();
        let pool = failed.map_or(&answered.call.pool.name, |first| &first.pool.name);
        let mirroring = by_pool.get(pool)?;
        let degraded = tier.pools.first() != Some(pool);
        if degraded || !answered.answer.head.status.is_success() || !is_comparable(limited) {
            return None;
        }
        let ticket = mirroring.choose()?;
        let failed = failed.map(|first| first.code.entry().code);
        Some(Tap::new(ticket, &answered.answer, forward, failed))
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
        } else if self.common.enter(self.rule.concurrency) {
            return Some(Ticket { mirroring: Arc::clone(self), fate: Fate::CallerGone });
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

/// A place among the copies under way, and what becomes of one; counted when it
/// is over, however it ends.
struct Ticket {
    mirroring: Arc<Mirroring>,
    fate: Fate,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mirroring.common.leave();
        self.mirroring.count(self.fate);
    }
}
