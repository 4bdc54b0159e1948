//! Pods that fetch, load, swap and fail as real ones do.

use std::collections::BTreeSet;

use ttsfleet_wire::admin::{Headroom, LoadedModel, ModelError, ModelStatus, Served, Step, Task};

use super::fixture::{digest, loaded, model};
use crate::rollout::{PodView, Problem, ProblemKind, Verb};

/// More ticks than anything takes that ends.
const HANGS: u32 = 1_000_000;

/// What a version is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Good,
    /// Its load fails; a pod that starts with it ends.
    WillNotLoad,
    /// Its load takes the process down.
    Crashes,
    /// Its load never ends.
    Hangs,
    /// It is not what its digest says, which a pod finds when it has loaded it.
    OtherBytes,
    /// It fails a gate.
    BadVoice,
    /// The gates cannot tell.
    Unclear,
    /// It speaks well to the judge and fails callers.
    FailsCallers,
    /// It loads in the shadow, but not in the second pod of the pool.
    FailsInThePool,
    /// Likewise, and hangs there.
    HangsInThePool,
}

impl Nature {
    /// Whether the shadow or the judge finds it out.
    pub(super) fn is_found_out(self) -> bool {
        !matches!(self, Self::Good | Self::FailsCallers | Self::FailsInThePool | Self::HangsInThePool)
    }
}

/// A pod.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) serving: Option<(u32, Served)>,
    pub(super) previous: Option<(u32, Served)>,
    /// Whether that one was served before; otherwise it was reverted from.
    is_older: bool,
    pub(super) store: BTreeSet<u32>,
    /// Version, step, ticks left, whether it is to be served.
    task: Option<(u32, Step, u32, bool)>,
    /// What was unloaded to make room.
    unloaded: Option<u32>,
    error: Option<u32>,
    failed_loads: u64,
    swaps: u64,
    restarts: u32,
    /// Ticks until it starts again, and for which it does not answer.
    pub(super) away: u32,
    pub(super) silent: u32,
}

pub(super) fn number(version: &str) -> u32 {
    version.parse().unwrap_or_default()
}

impl Server {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            serving: None,
            previous: None,
            is_older: false,
            store: BTreeSet::new(),
            task: None,
            unloaded: None,
            error: None,
            failed_loads: 0,
            swaps: 0,
            restarts: 0,
            away: 1,
            silent: 0,
        }
    }

    pub(super) fn ready(&self) -> bool {
        self.serving.is_some() && self.away == 0
    }

    pub(super) fn end(&mut self) {
        let store = std::mem::take(&mut self.store);
        *self = Self { store, restarts: self.restarts + 1, away: 2, ..Self::new(self.name.clone()) };
    }

    /// One tick, in a pod that starts with the version `first`.
    pub(super) fn advance(&mut self, first: u32, nature: impl Fn(u32, &Self) -> Nature) {
        self.silent = self.silent.saturating_sub(1);
        if self.away > 0 {
            self.away -= 1;
            return;
        }
        if let Some((version, served)) = &mut self.serving {
            served.requests += 10;
            served.failed +=
                if nature(*version, &Self::new(String::new())) == Nature::FailsCallers { 3 } else { 0 };
            served.first_audio_us += 7 * 90_000;
        }
        match self.task {
            None if self.serving.is_none() => self.task = Some((first, Step::Staging, 1, true)),
            Some((version, step, 0, serve)) => {
                let nature = nature(version, self);
                self.finish(version, step, serve, nature);
            }
            Some((version, step, left, serve)) => self.task = Some((version, step, left - 1, serve)),
            None => {}
        }
    }

    fn finish(&mut self, version: u32, step: Step, serve: bool, nature: Nature) {
        self.task = None;
        match (step, nature) {
            (Step::Staging, _) => {
                self.store.insert(version);
                self.task = serve.then_some((version, Step::Loading, 1, true));
            }
            (Step::Loading, Nature::Crashes) => self.end(),
            (Step::Loading, Nature::Hangs | Nature::HangsInThePool) => {
                self.task = Some((version, Step::Loading, 2 * HANGS, true));
            }
            (Step::Loading, Nature::WillNotLoad | Nature::FailsInThePool) => self.fail(version),
            (Step::Loading | Step::Draining, _) => self.task = Some((version, Step::WarmingUp, 0, true)),
            (Step::WarmingUp, _) => {
                (self.previous, self.is_older) = (self.serving.take(), true);
                (self.serving, self.unloaded, self.error) = (Some((version, Served::default())), None, None);
                self.swaps += 1;
            }
        }
    }

    fn fail(&mut self, version: u32) {
        if self.serving.is_none() && self.unloaded.is_none() {
            return self.end();
        }
        self.error = Some(version);
        self.failed_loads += 1;
        if let Some(old) = self.unloaded.take() {
            self.serving = Some((old, Served::default()));
        }
    }

    pub(super) fn obey(&mut self, verb: &Verb) {
        if self.away > 0 || self.silent > 0 {
            return;
        }
        match verb {
            Verb::Stage(record) if self.task.is_none() => {
                self.task = Some((number(&record.version), Step::Staging, 1, false));
            }
            Verb::Swap(record, headroom) => self.swap(number(&record.version), *headroom),
            Verb::Revert if self.previous.is_some() && self.is_older => {
                std::mem::swap(&mut self.serving, &mut self.previous);
                self.is_older = false;
                self.stay();
            }
            Verb::Free => self.previous = None,
            _ => {}
        }
    }

    /// Gives up a load that answers.
    fn stay(&mut self) {
        self.task = self.task.filter(|(_, _, left, serve)| *left > HANGS || !serve);
    }

    fn swap(&mut self, version: u32, headroom: Headroom) {
        if self.task.is_some_and(|(other, _, left, serve)| left > HANGS || (serve && other == version)) {
            return;
        }
        self.stay();
        let serving = self.serving.map(|(version, _)| version);
        if serving == Some(version) {
            return;
        }
        if self.previous.is_some_and(|(kept, _)| kept == version) {
            std::mem::swap(&mut self.serving, &mut self.previous);
            self.is_older = true;
            return;
        }
        if let (Headroom::DrainFirst, Some(old)) = (headroom, serving) {
            (self.serving, self.previous, self.unloaded) = (None, None, Some(old));
        }
        let step = if self.store.contains(&version) { Step::Loading } else { Step::Staging };
        self.task = Some((version, step, 1, true));
    }

    pub(super) fn view(&self, other_bytes: impl Fn(u32) -> bool) -> PodView {
        let load = |(version, served): &(u32, Served)| {
            let digest = digest(if other_bytes(*version) { 999 } else { *version });
            LoadedModel { served: *served, digest, ..loaded(*version) }
        };
        let task = self.task.map(|(version, step, ..)| Task {
            record: model(version),
            step,
            bytes_done: 0,
            bytes_total: 0,
            trouble: None,
        });
        let error = self.error.map(|version| ModelError {
            record: model(version),
            step: Step::Loading,
            message: "a tensor is missing".to_owned(),
            transient: false,
        });
        let status = ModelStatus {
            serving: self.serving.as_ref().map(load),
            previous: self.previous.as_ref().map(load),
            staged: self.store.iter().map(|version| model(*version)).collect(),
            task,
            error,
            swaps: self.swaps,
            failed_loads: self.failed_loads,
            unreturned_bytes: 0,
        };
        let ended = Problem { kind: ProblemKind::Crashed, message: "it ended".to_owned() };
        let answers = self.away == 0 && self.silent == 0;
        PodView {
            name: self.name.clone(),
            uid: format!("uid-{}", self.name),
            ready: self.ready(),
            current: true,
            status: answers.then_some(status),
            restarts: self.restarts,
            problem: (self.restarts > 0 && !self.ready()).then_some(ended),
        }
    }
}
