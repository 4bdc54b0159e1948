//! A small world: pods that fetch, load, swap and fail as real ones do, a shadow, a judge, a ConfigMap, and
//! an operator that observes, decides, writes and orders. One tick is five seconds.

use std::collections::{BTreeMap, BTreeSet};

use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::admin::{Headroom, ModelError, ModelStatus, Served, Step, Task};
use ttsfleet_wire::judge::Report;

use super::fixture::{at, digest, loaded, model, report, spec};
use crate::rollout::{
    Commands, Decision, Order, PodView, PoolRecord, PoolSpec, PoolView, Problem, ProblemKind, Verb, decide,
};

const TICK: i64 = 5;
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

/// What goes wrong, or is done by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    DeletePod(usize),
    KillPod(usize),
    Silence(usize, u32),
    DeleteShadow,
    RestartJudge,
    LoseWrite,
    KillOperator,
    LoseOrders,
    DoubleOrders,
    OldView,
    Spec(u32),
    Pause,
    Resume,
}

/// A pod.
#[derive(Clone, Debug)]
struct Server {
    name: String,
    serving: Option<(u32, Served)>,
    previous: Option<(u32, Served)>,
    /// Whether that one was served before; otherwise it was reverted from.
    is_older: bool,
    store: BTreeSet<u32>,
    /// Version, step, ticks left, whether it is to be served.
    task: Option<(u32, Step, u32, bool)>,
    /// What was unloaded to make room.
    unloaded: Option<u32>,
    error: Option<u32>,
    failed_loads: u64,
    swaps: u64,
    restarts: u32,
    /// Ticks until it starts again, and for which it does not answer.
    away: u32,
    silent: u32,
}

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) spec: PoolSpec,
    pub(super) record: PoolRecord,
    natures: BTreeMap<u32, Nature>,
    pods: Vec<Server>,
    shadow: Option<(String, u32, Vec<Server>)>,
    judge: Option<(String, u64)>,
    tick: i64,
    made: u32,
    last_view: Option<PoolView>,
    /// Pods that the operator has deleted.
    pub(super) recycled: u32,
    /// Ticks since anything last changed.
    pub(super) quiet: u32,
}

fn number(version: &str) -> u32 {
    version.parse().unwrap_or_default()
}

impl Server {
    fn new(name: String) -> Self {
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

    fn ready(&self) -> bool {
        self.serving.is_some() && self.away == 0
    }

    fn end(&mut self) {
        let store = std::mem::take(&mut self.store);
        *self = Self { store, restarts: self.restarts + 1, away: 2, ..Self::new(self.name.clone()) };
    }

    /// One tick, in a pod that starts with the version `first`.
    fn advance(&mut self, first: u32, nature: impl Fn(u32, &Self) -> Nature) {
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

    fn obey(&mut self, verb: &Verb) {
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

    fn view(&self, other_bytes: impl Fn(u32) -> bool) -> PodView {
        let load = |(version, served): &(u32, Served)| {
            let digest = digest(if other_bytes(*version) { 999 } else { *version });
            ttsfleet_wire::admin::LoadedModel { served: *served, digest, ..loaded(*version) }
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

impl World {
    /// Four pods that serve version 1, and a spec that names version 2.
    pub(super) fn new(natures: &[(u32, Nature)]) -> Self {
        let mut world = Self {
            spec: spec(2),
            record: PoolRecord::first(model(1)),
            natures: natures.iter().copied().collect(),
            pods: Vec::new(),
            shadow: None,
            judge: None,
            tick: 0,
            made: 0,
            last_view: None,
            recycled: 0,
            quiet: 0,
        };
        while world.pods.len() < 4 {
            let mut pod = world.make("pod");
            (pod.serving, pod.away) = (Some((1, Served::default())), 0);
            pod.store.insert(1);
            world.pods.push(pod);
        }
        world
    }

    pub(super) fn nature(&self, version: u32) -> Nature {
        self.natures.get(&version).copied().unwrap_or(Nature::Good)
    }

    fn make(&mut self, kind: &str) -> Server {
        self.made += 1;
        Server::new(format!("{kind}-{:03}", self.made))
    }

    pub(super) fn ready(&self) -> usize {
        self.pods.iter().filter(|pod| pod.ready()).count()
    }

    /// Whether all pods serve the stable model, and have no other in memory.
    pub(super) fn is_settled(&self) -> bool {
        let stable = number(&self.record.stable.version);
        let settled = |pod: &Server| {
            pod.ready() && pod.serving.is_some_and(|(version, _)| version == stable) && pod.previous.is_none()
        };
        self.pods.len() == 4 && self.pods.iter().all(settled)
    }

    /// One tick.
    pub(super) fn tick(&mut self, faults: &[Fault]) {
        self.tick += 1;
        for fault in faults {
            self.suffer(*fault);
        }
        self.advance();
        let fresh = self.view();
        let old = self.last_view.replace(fresh.clone()).filter(|_| faults.contains(&Fault::OldView));
        // What is looked at late is looked at with the time it is.
        let view = old.map_or_else(|| fresh.clone(), |old| PoolView { now: fresh.now, ..old });
        let decision = decide(&self.spec, &Commands::default(), &self.record, &view);
        self.check(&decision, &view);
        if faults.contains(&Fault::LoseWrite) {
            return;
        }
        let same = self.record == decision.record && decision.orders.is_empty() && decision.recheck.is_none();
        self.quiet = if same && faults.is_empty() && self.ready() == 4 { self.quiet + 1 } else { 0 };
        self.record = decision.record.clone();
        if faults.contains(&Fault::KillOperator) {
            return;
        }
        self.provide(&decision);
        let times = match faults {
            _ if faults.contains(&Fault::LoseOrders) => 0,
            _ if faults.contains(&Fault::DoubleOrders) => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.order(&decision.orders);
        }
    }

    fn suffer(&mut self, fault: Fault) {
        let count = self.pods.len();
        let whole = self.ready() == 4;
        match fault {
            Fault::DeletePod(index) if whole => {
                self.pods.remove(index % count);
            }
            Fault::KillPod(index) if whole => self.pods[index % count].end(),
            Fault::Silence(index, ticks) if count > 0 => self.pods[index % count].silent = ticks,
            Fault::DeleteShadow => {
                if let Some((_, _, pods)) = &mut self.shadow {
                    pods.clear();
                }
            }
            Fault::RestartJudge => {
                if let Some((_, pairs)) = &mut self.judge {
                    *pairs = 0;
                }
            }
            Fault::Spec(version) => self.spec.model = model(version),
            Fault::Pause => self.spec.paused = true,
            Fault::Resume => self.spec.paused = false,
            _ => {}
        }
    }

    fn advance(&mut self) {
        while self.pods.len() < 4 {
            let pod = self.make("pod");
            self.pods.push(pod);
        }
        let natures = self.natures.clone();
        let nature = |version: u32| natures.get(&version).copied().unwrap_or(Nature::Good);
        let first = number(&self.record.stable.version);
        let others: Vec<_> = self.pods.iter().map(|pod| pod.serving.map(|(version, _)| version)).collect();
        for pod in &mut self.pods {
            // The first pod that takes it does not show the fault.
            let taken = |version| others.contains(&Some(version));
            pod.advance(first, |version, _| match nature(version) {
                Nature::FailsInThePool | Nature::HangsInThePool if !taken(version) => Nature::Good,
                nature => nature,
            });
        }
        let ready = self.ready();
        let spare =
            self.shadow.as_ref().is_some_and(|(_, _, pods)| pods.is_empty()).then(|| self.make("shadow"));
        let Some((_, version, shadow)) = &mut self.shadow else { return };
        shadow.extend(spare);
        for pod in shadow.iter_mut() {
            pod.advance(*version, |version, _| match nature(version) {
                Nature::FailsInThePool | Nature::HangsInThePool => Nature::Good,
                nature => nature,
            });
        }
        if let Some((_, pairs)) =
            self.judge.as_mut().filter(|_| ready > 0 && shadow.iter().all(Server::ready))
        {
            *pairs += 12;
        }
    }

    fn view(&self) -> PoolView {
        let other_bytes = |version| self.nature(version) == Nature::OtherBytes;
        let trial = self.record.rollout.as_ref().map(|rollout| rollout.trial.as_str());
        let shadow = self.shadow.as_ref().filter(|(of, ..)| Some(of.as_str()) == trial);
        let of_shadow = |(_, version, _): &(String, u32, Vec<Server>)| match self.nature(*version) {
            Nature::BadVoice => (1.2, 1.6),
            Nature::Unclear => (0.5, 1.5),
            _ => (-0.5, 0.5),
        };
        let report = self.judge.as_ref().zip(shadow).map(|((session, pairs), shadow)| {
            let (low, high) = of_shadow(shadow);
            Report { session: session.clone(), ..report(*pairs, low, high) }
        });
        PoolView {
            pods: self.pods.iter().map(|pod| pod.view(other_bytes)).collect(),
            shadow: shadow
                .map_or_else(Vec::new, |(_, _, pods)| pods.iter().map(|pod| pod.view(other_bytes)).collect()),
            report,
            judge_problem: None,
            now: at(self.tick * TICK),
        }
    }

    fn provide(&mut self, decision: &Decision) {
        let wants = &decision.wants;
        match &wants.shadow {
            None => self.shadow = None,
            Some(record) if self.shadow.as_ref().is_none_or(|(trial, ..)| *trial != wants.trial) => {
                self.shadow = Some((wants.trial.clone(), number(&record.version), Vec::new()));
            }
            Some(_) => {}
        }
        match &wants.judge {
            None => self.judge = None,
            Some(wanted) if self.judge.as_ref().is_none_or(|(id, _)| *id != wanted.id) => {
                self.judge = Some((wanted.id.clone(), 0));
            }
            Some(_) => {}
        }
    }

    fn order(&mut self, orders: &[Order]) {
        for order in orders {
            if matches!(order.verb, Verb::Recycle(_)) {
                self.recycled += 1;
                self.pods.retain(|pod| pod.name != order.pod);
            }
            for pod in self.pods.iter_mut().filter(|pod| pod.name == order.pod) {
                pod.obey(&order.verb);
            }
        }
    }

    /// What holds whatever happens.
    fn check(&self, decision: &Decision, view: &PoolView) {
        let record = &decision.record;
        let mut targets: Vec<_> = Vec::new();
        for order in &decision.orders {
            match &order.verb {
                Verb::Swap(target, _) => targets.push(number(&target.version)),
                Verb::Recycle(_) => {
                    let others = view.pods.iter().filter(|pod| pod.name != order.pod);
                    assert!(others.clone().all(|pod| pod.ready), "a pod is deleted while another is away");
                }
                _ => {}
            }
        }
        targets.sort_unstable();
        targets.dedup();
        assert!(targets.len() <= 1, "two versions are asked for: {targets:?}");
        let promoted = record.rollout.as_ref().filter(|rollout| rollout.phase == RolloutPhase::Promoting);
        let allowed = promoted.map_or(&record.stable, |rollout| &rollout.candidate);
        assert!(
            targets.iter().all(|target| *target == number(&allowed.version)),
            "{targets:?} is not on record"
        );
        let stable = number(&record.stable.version);
        for version in targets.into_iter().chain([stable]) {
            assert!(!self.nature(version).is_found_out(), "version {version} reaches the pool");
        }
        let drained = view.pods.iter().filter(|pod| {
            let loads = pod.status.as_ref().is_some_and(|status| status.task.is_some());
            !pod.ready && loads && pod.restarts == 0
        });
        // An order to a pod that has left already, or to serve what it serves, has no other pod leave.
        let leaves = |order: &&Order| match &order.verb {
            Verb::Swap(target, _) => {
                let mut pods = view.pods.iter().filter(|pod| pod.name == order.pod && pod.ready);
                pods.any(|pod| !pod.serves(target))
            }
            _ => false,
        };
        if self.spec.swap.headroom == Headroom::DrainFirst {
            let leaving = decision.orders.iter().filter(leaves).count();
            assert!(leaving == 0 || drained.count() == 0, "two pods leave service at a time");
            assert!(leaving <= 1, "two pods leave service at a time");
        }
    }
}
