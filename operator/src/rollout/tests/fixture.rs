//! A pool of hibari: version 1 is stable, version 2 is on its way.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ttsfleet_crds::{Promotion, RolloutPhase, Strategy};
use ttsfleet_wire::admin::{
    Headroom, LoadedModel, ModelError, ModelStatus, Offers, Served, Step, Task, Timing,
};
use ttsfleet_wire::judge::{Measure, Quantity, Report};
use ttsfleet_wire::model::{ModelRecord, ModelSource};

use crate::rollout::{
    Bounds, Commands, Decision, Entry, Hold, Outcome, Performance, PodView, PoolRecord, PoolSpec, PoolView,
    Previous, Problem, ProblemKind, Rollout, Seen, ShadowSpec, SwapSpec, Verb, decide,
};

pub(super) const GATES: Bounds = Bounds {
    cer_points: 2.0,
    mos_decrease: 0.1,
    prosody_distance: 0.25,
    loudness_db: 3.0,
    treble_db: 6.0,
    error_points: 0.5,
    first_sound_ratio: 1.5,
    latency_ratio: 1.2,
};

pub(super) fn model(version: u32) -> ModelRecord {
    let source = ModelSource {
        uri: format!("s3://voices/hibari/{version}"),
        digest: Some(digest(version)),
        secret: None,
    };
    ModelRecord { name: "hibari".to_owned(), version: version.to_string(), source: Some(source) }
}

pub(super) fn digest(version: u32) -> String {
    format!("sha256:{version:064}")
}

/// Four pods, everything else as the API defaults it, but a soak and a deadline in round numbers.
pub(super) fn spec(version: u32) -> PoolSpec {
    PoolSpec {
        pool: "main".to_owned(),
        model: model(version),
        replicas: 4,
        memory: 4 << 30,
        strategy: Strategy::Shadow,
        fresh_baseline: true,
        shadow: ShadowSpec { min_samples: 100, deadline: Duration::from_secs(3600) },
        gates: GATES,
        promotion: Promotion::Automatic,
        swap: SwapSpec { headroom: Headroom::Overlap, allow_downtime: false, soak: Duration::from_secs(60) },
        paused: false,
    }
}

pub(super) fn offers(voices: &[&str]) -> Offers {
    let voices = voices.iter().map(ToString::to_string).collect();
    Offers { voices, languages: vec!["en-US".to_owned()], sample_rate: 24_000 }
}

pub(super) fn loaded(version: u32) -> LoadedModel {
    LoadedModel {
        record: model(version),
        name: "hibari".to_owned(),
        version: version.to_string(),
        digest: digest(version),
        served: Served::default(),
        timing: Timing::default(),
        offers: offers(&["heart", "sky"]),
    }
}

/// A ready pod that serves a version.
pub(super) fn pod(name: &str, version: u32) -> PodView {
    let status = ModelStatus {
        serving: Some(loaded(version)),
        staged: vec![model(version)],
        ..ModelStatus::default()
    };
    PodView {
        name: name.to_owned(),
        uid: format!("uid-{name}"),
        ready: true,
        current: true,
        status: Some(status),
        restarts: 0,
        problem: None,
    }
}

/// Ready pods a, b, c… that serve these versions.
pub(super) fn pods<const N: usize>(versions: [u32; N]) -> Vec<PodView> {
    ('a'..).zip(versions).map(|(name, version)| pod(&name.to_string(), version)).collect()
}

/// Changes to a pod.
impl PodView {
    fn with(mut self, change: impl FnOnce(&mut ModelStatus)) -> Self {
        if let Some(status) = &mut self.status {
            change(status);
        }
        self
    }

    pub(super) fn unready(self) -> Self {
        Self { ready: false, ..self }
    }

    pub(super) fn dark(self) -> Self {
        Self { status: None, ..self }
    }

    pub(super) fn outdated(self) -> Self {
        Self { current: false, ..self }
    }

    /// Not ready, and has no model yet.
    pub(super) fn starting(self) -> Self {
        self.unready().with(|status| status.serving = None)
    }

    pub(super) fn has_in_store(self, version: u32) -> Self {
        self.with(|status| status.staged.push(model(version)))
    }

    pub(super) fn and_keeps(self, version: u32) -> Self {
        self.with(|status| status.previous = Some(loaded(version)))
    }

    pub(super) fn busy(self, step: Step, version: u32) -> Self {
        let task = Task {
            record: model(version),
            step,
            bytes_done: 12_000_000,
            bytes_total: 40_000_000,
            trouble: None,
        };
        self.with(|status| status.task = Some(task))
    }

    pub(super) fn in_trouble(self, words: &str) -> Self {
        self.with(|status| {
            if let Some(task) = &mut status.task {
                task.trouble = Some(words.to_owned());
            }
        })
    }

    pub(super) fn failed(self, version: u32, transient: bool) -> Self {
        let message = "a tensor is missing".to_owned();
        self.with(|status| {
            status.error =
                Some(ModelError { record: model(version), step: Step::Loading, message, transient });
            status.failed_loads += 1;
        })
    }

    pub(super) fn reporting(self, digest: String) -> Self {
        self.with(|status| {
            if let Some(loaded) = &mut status.serving {
                loaded.digest = digest;
            }
        })
    }

    pub(super) fn offering(self, change: impl FnOnce(&mut LoadedModel)) -> Self {
        self.with(|status| {
            if let Some(loaded) = &mut status.serving {
                change(loaded);
            }
        })
    }

    pub(super) fn served(self, requests: u64, failed: u64, first_audio_ms: u64) -> Self {
        let first_audio_us = (requests - failed) * first_audio_ms * 1000;
        self.with(|status| {
            if let Some(loaded) = &mut status.serving {
                loaded.served = Served { requests, failed, first_audio_us };
            }
        })
    }

    pub(super) fn leaked(self, bytes: u64) -> Self {
        self.with(|status| status.unreturned_bytes = bytes)
    }

    pub(super) fn ended(self, times: u32) -> Self {
        let problem = Problem { kind: ProblemKind::Crashed, message: "weights.bin is cut short".to_owned() };
        Self { restarts: times, problem: Some(problem), ..self.unready() }
    }

    pub(super) fn without_place(self) -> Self {
        let problem = Problem { kind: ProblemKind::Unschedulable, message: "0/3 nodes fit".to_owned() };
        Self { problem: Some(problem), ..self.unready().dark() }
    }

    pub(super) fn without_image(self) -> Self {
        let problem = Problem { kind: ProblemKind::Other, message: "ErrImagePull".to_owned() };
        Self { problem: Some(problem), ..self.unready().dark() }
    }
}

pub(super) fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

pub(super) fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub(super) fn view(pods: Vec<PodView>, shadow: Vec<PodView>, seconds: i64) -> PoolView {
    let baseline = vec![pod("baseline-a", 1)];
    PoolView { pods, shadow, baseline, report: None, judge_problem: None, now: at(seconds) }
}

/// The shadow's pod with version 2.
pub(super) fn shadow() -> PodView {
    pod("shadow-a", 2)
}

/// A record of version 2 on its way, in this phase since the epoch.
pub(super) fn under_way(phase: RolloutPhase) -> PoolRecord {
    let soaks = phase == RolloutPhase::Soaking;
    let known = phase != RolloutPhase::Staging;
    let seen = Seen { ready: true, ..Seen::default() };
    let rollout = Rollout {
        candidate: model(2),
        candidate_digest: known.then(|| digest(2)),
        baseline_digest: known.then(|| digest(1)),
        missing: Vec::new(),
        phase,
        since: start(),
        tested: true,
        message: "so far".to_owned(),
        samples: 0,
        gates: Vec::new(),
        hold: (phase == RolloutPhase::Paused).then_some(Hold::Inconclusive),
        held_since: None,
        down_since: None,
        trial: "7".to_owned(),
        headway: 0,
        headway_at: None,
        before: soaks.then_some(Performance { requests: 1000, failed: 1, first_audio_us: 99_900_000 }),
        seen: ["a", "b", "c", "d"].map(|name| (format!("uid-{name}"), seen)).into(),
        ending: None,
    };
    PoolRecord {
        stable: model(if soaks { 2 } else { 1 }),
        previous: soaks.then(|| Previous { record: model(1), digest: Some(digest(1)) }),
        rollout: Some(rollout),
        ..PoolRecord::default()
    }
}

impl PoolRecord {
    /// The rollout, changed.
    pub(super) fn but(mut self, change: impl FnOnce(&mut Rollout)) -> Self {
        if let Some(rollout) = &mut self.rollout {
            change(rollout);
        }
        self
    }
}

pub(super) fn commands(annotations: &[(&str, &str)]) -> Commands {
    let annotations: BTreeMap<_, _> =
        annotations.iter().map(|(verb, text)| (format!("ttsfleet.dev/{verb}"), (*text).to_owned())).collect();
    Commands::read(&annotations, "main")
}

pub(super) fn decided(spec: &PoolSpec, record: &PoolRecord, view: &PoolView) -> Decision {
    decide(spec, &Commands::default(), record, view)
}

/// A report of the trial on so many pairs, in which each quantity's worsening lies between these shares
/// of its bound.
pub(super) fn report(samples: u64, low: f64, high: f64) -> Report {
    report_on(samples, |_| (low, high))
}

pub(super) fn report_on(samples: u64, interval: impl Fn(Quantity) -> (f64, f64)) -> Report {
    let measure = |quantity, scale: f64, baseline| {
        let (low, high) = interval(quantity);
        let (a, b) = (low * scale, high * scale);
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        let difference = f64::midpoint(low, high);
        Measure { quantity, samples, baseline, candidate: baseline + difference, difference, low, high }
    };
    Report {
        session: "7".to_owned(),
        samples,
        from_prompts: 0,
        repeated: 0,
        waiting: 0,
        dropped: 0,
        trouble: None,
        measures: vec![
            measure(Quantity::Cer, GATES.cer_points / 100.0, 0.03),
            measure(Quantity::Mos, -GATES.mos_decrease, 4.1),
            measure(Quantity::Prosody, GATES.prosody_distance, 0.0),
            measure(Quantity::Loudness, GATES.loudness_db, -23.0),
            measure(Quantity::Treble, GATES.treble_db, -30.0),
            measure(Quantity::Errors, GATES.error_points / 100.0, 0.0),
            measure(Quantity::FirstSound, GATES.first_sound_ratio, 200.0),
            measure(Quantity::Latency, GATES.latency_ratio, 800.0),
        ],
    }
}

/// What follows, in a line: how it ended or how far it is, what is wanted beside the pods (shadow, judge,
/// mirror), and the orders.
pub(super) fn line(before: &PoolRecord, decision: &Decision) -> String {
    let record = &decision.record;
    let mut line = match (&record.rollout, record.history.first()) {
        (Some(rollout), _) => format!("{:?}", rollout.phase),
        (None, Some(Entry { outcome, .. })) if record.history.len() > before.history.len() => {
            format!("{outcome:?}")
        }
        (None, _) => "Stable".to_owned(),
    };
    let wants = &decision.wants;
    let wanted = [('s', wants.shadow.is_some()), ('j', wants.judge.is_some()), ('m', wants.mirror)];
    let letters: String = wanted.iter().filter(|(_, wanted)| *wanted).map(|(letter, _)| letter).collect();
    for word in [letters].into_iter().filter(|letters| !letters.is_empty()).chain(orders(decision)) {
        line.push(' ');
        line.push_str(&word);
    }
    line
}

pub(super) fn orders(decision: &Decision) -> Vec<String> {
    let word = |verb: &Verb| match verb {
        Verb::Stage(record) => format!("stage{}", record.version),
        Verb::Swap(record, _) => format!("swap{}", record.version),
        Verb::Revert => "revert".to_owned(),
        Verb::Free => "free".to_owned(),
        Verb::Recycle(_) => "recycle".to_owned(),
    };
    decision.orders.iter().map(|order| format!("{}:{}", order.pod, word(&order.verb))).collect()
}

/// The message that people see of the rollout, or of the last one.
pub(super) fn message(decision: &Decision) -> &str {
    decision.progress.rollout.as_ref().map_or("", |rollout| &rollout.message)
}

pub(super) fn last(decision: &Decision) -> Option<(Outcome, &str)> {
    decision.record.last.as_ref().map(|last| (last.outcome, last.message.as_str()))
}
