//! A small world: pods, a shadow, a judge, a ConfigMap, and an operator that observes, decides, writes and
//! orders. One tick is five seconds.

use std::collections::BTreeMap;

use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::admin::{Headroom, Served};
use ttsfleet_wire::judge::Report;

use super::fixture::{at, model, pod, report, spec};
use super::server::{Nature, Server, number};
use crate::rollout::{Commands, Decision, Order, PodView, PoolRecord, PoolSpec, PoolView, Verb, decide};

const TICK: i64 = 5;

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

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) spec: PoolSpec,
    pub(super) record: PoolRecord,
    natures: BTreeMap<u32, Nature>,
    pods: Vec<Server>,
    shadow: Option<(String, u32, Vec<Server>)>,
    /// Trial, version, and the tick from which on its pod is there.
    baseline: Option<(String, u32, i64)>,
    judge: Option<(String, u64)>,
    tick: i64,
    made: u32,
    last_view: Option<PoolView>,
    /// Pods that the operator has deleted.
    pub(super) recycled: u32,
    /// Ticks since anything last changed.
    pub(super) quiet: u32,
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
            baseline: None,
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
            baseline: self.fresh_pods(trial),
            report,
            judge_problem: None,
            now: at(self.tick * TICK),
        }
    }

    /// Those of the trial with the stable model.
    fn fresh_pods(&self, trial: Option<&str>) -> Vec<PodView> {
        let there = |(of, _, since): &&(String, u32, i64)| Some(of.as_str()) == trial && *since <= self.tick;
        let fresh = self.baseline.as_ref().filter(there);
        fresh.map(|(_, version, _)| pod("baseline-a", *version)).into_iter().collect()
    }

    fn provide(&mut self, decision: &Decision) {
        let wants = &decision.wants;
        match &wants.baseline {
            None => self.baseline = None,
            Some(record) if self.baseline.as_ref().is_none_or(|(trial, ..)| *trial != wants.trial) => {
                self.baseline = Some((wants.trial.clone(), number(&record.version), self.tick + 2));
            }
            Some(_) => {}
        }
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
