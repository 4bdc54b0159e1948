//! The one function that decides.

use std::time::Duration;

use jiff::Timestamp;
use ttsfleet_crds::{RolloutPhase, Strategy};
use ttsfleet_wire::model::ModelRecord;

use super::apply::{apply, new_trial};
use super::command::{Command, Commands};
use super::decision::{Comparison, Decision, Note, Order, Wants};
use super::record::{Ending, Hold, Outcome, PoolRecord, Rollout, same_model};
use super::view::{PoolSpec, PoolView, ProblemKind};
use super::{orders, pods, report, swap, trial};

/// How often pods and judge are looked at while something is under way.
const POLL: Duration = Duration::from_secs(1);
/// The same while a rollout is held by the spec.
const SLOW_POLL: Duration = Duration::from_secs(15);
/// How long no pod may be ready before a new model is taken for the remedy.
const DOWN: Duration = Duration::from_secs(120);

/// What follows for a pool from what is asked, what is on record and what was
/// seen. At most one step from phase to phase is taken; the orders and wants
/// are those of the next record.
pub fn decide(spec: &PoolSpec, commands: &Commands, record: &PoolRecord, view: &PoolView) -> Decision {
    let mut next = tidy(spec, commands, record);
    let input = Input { spec, commands: commands.unspent(&next.spent), view };
    let mut notes = Vec::new();
    let message = step(&input, &mut next, &mut notes);
    let orders = orders::orders(spec, &next, view);
    let progress = report::progress(spec, &next, view, message);
    Decision {
        quality: report::quality(spec, &next, view, &progress),
        recheck: recheck(&next, next != *record, &orders),
        wants: wants(spec, &next),
        record: next,
        orders,
        progress,
        notes,
    }
}

/// What a phase looks at.
pub(super) struct Input<'a> {
    pub(super) spec: &'a PoolSpec,
    /// Those that have not had their effect.
    pub(super) commands: Commands,
    pub(super) view: &'a PoolView,
}

impl Input<'_> {
    /// How long a rollout is where it is, without the time for which the spec
    /// holds it.
    pub(super) fn elapsed(&self, rollout: &Rollout) -> Duration {
        self.since(rollout, rollout.since)
    }

    /// How long ago something was, in the same sense.
    pub(super) fn since(&self, rollout: &Rollout, then: Timestamp) -> Duration {
        elapsed(then, rollout.held_since.unwrap_or(self.view.now))
    }

    /// Whether nobody hears the pool.
    pub(super) fn is_down(&self, rollout: &Rollout) -> bool {
        self.is_scaled_to_none()
            || rollout.down_since.is_some_and(|since| elapsed(since, self.view.now) >= DOWN)
    }

    /// Whether it is down and will not come up by itself, so that nobody is left
    /// to be spared an untested model, or to compare it with. A pod that takes
    /// long to start is not broken.
    pub(super) fn is_broken(&self, rollout: &Rollout) -> bool {
        let pods = &self.view.pods;
        let crash = !pods.is_empty() && pods.iter().all(|pod| pod.has(ProblemKind::Crashed));
        crash && self.is_down(rollout)
    }

    fn is_scaled_to_none(&self) -> bool {
        self.spec.replicas == 0 && self.view.pods.is_empty()
    }

    /// Whether the rollout stays where it is: by the spec's word, or because
    /// there are no pods to compare with.
    fn is_held(&self, rollout: &Rollout) -> bool {
        let compares = matches!(rollout.phase, RolloutPhase::Staging | RolloutPhase::Shadowing);
        let nothing_to_compare = rollout.tested && compares && self.is_scaled_to_none();
        rollout.phase != RolloutPhase::Reverting && (self.spec.paused || nothing_to_compare)
    }

    /// Whether one of the commands is about the candidate.
    pub(super) fn told(&self, commands: &[Command], rollout: &Rollout) -> bool {
        commands
            .iter()
            .any(|command| command.is_about(&rollout.candidate, rollout.candidate_digest.as_deref()))
    }
}

/// What a phase comes to.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing changes; what it waits for, if that is not what it said before.
    Stay(Option<String>),
    /// On to Staging, Shadowing, Promoting or Soaking.
    Go(RolloutPhase, String),
    /// It waits for somebody.
    Hold(Hold, String),
    /// It is written down as what pods load at start, with nobody to swap.
    Adopt(String),
    /// It ends; pods that serve the candidate go back first.
    End(Ending),
    /// It is over.
    Done(String),
}

impl Next {
    /// The candidate is not to be tried again.
    pub(super) fn refuse(outcome: Outcome, message: String) -> Self {
        Self::End(Ending { outcome, message, refused: true })
    }
}

/// Forgets what no longer matters, and follows a model that has only moved.
fn tidy(spec: &PoolSpec, commands: &Commands, record: &PoolRecord) -> PoolRecord {
    let mut record = record.clone();
    record.spent.retain(|id| commands.all().any(|command| command.id == *id));
    record.last = record.last.filter(|last| last.is_about(&spec.model));
    let candidate = record.rollout.as_mut().map(|rollout| &mut rollout.candidate);
    for model in candidate.into_iter().chain([&mut record.stable]) {
        if same_model(model, &spec.model) {
            *model = spec.model.clone();
        }
    }
    record
}

fn step(input: &Input<'_>, record: &mut PoolRecord, notes: &mut Vec<Note>) -> Option<String> {
    let Some(mut rollout) = record.rollout.take() else {
        record.rollout = begin(input, record, notes);
        spend_late(input, record);
        return None;
    };
    keep_time(input, &mut rollout);
    let before = rollout.clone();
    let ended = interrupted(input, record, &rollout).or_else(|| tested_otherwise(input, &mut rollout));
    let next = ended.unwrap_or_else(|| match rollout.phase {
        RolloutPhase::Stable | RolloutPhase::Staging => trial::staging(input, &record.stable, &mut rollout),
        RolloutPhase::Shadowing => trial::shadowing(input, &mut rollout),
        RolloutPhase::Paused => trial::held(input, &rollout),
        RolloutPhase::Promoting => swap::promoting(input, &record.stable, &mut rollout),
        RolloutPhase::Soaking => swap::soaking(input, &rollout),
        RolloutPhase::Reverting => swap::reverting(input, &record.stable, &rollout),
    });
    if rollout.held_since.is_some() && !matches!(next, Next::End(_)) {
        record.rollout = Some(before);
        return None;
    }
    apply(input, record, rollout, next, notes)
}

/// Starts what the spec asks for, unless it was refused before.
fn begin(input: &Input<'_>, record: &mut PoolRecord, notes: &mut Vec<Note>) -> Option<Rollout> {
    let (spec, view) = (input.spec, input.view);
    let outdated = view.pods.iter().any(|pod| pod.ready && !pod.current);
    if same_model(&spec.model, &record.stable) || spec.paused || outdated {
        return None;
    }
    if let Some(last) = record.last.as_ref().filter(|last| last.outcome.is_refusal()) {
        let about = |command: &&Command| command.is_about(&spec.model, last.digest.as_deref());
        let retry = input.commands.retry.iter().find(about)?;
        record.spent.push(retry.id.clone());
    }
    record.last = None;
    let tested = spec.strategy == Strategy::Shadow;
    let (new, old) = (spec.model.title(), record.stable.title());
    let message = match tested {
        true => format!("{new} is loaded in the shadow, to be compared with {old}"),
        false => format!("{new} is fetched by the pods, to replace {old} untested"),
    };
    notes.push(Note { warning: false, reason: "RolloutStarted", note: message.clone() });
    Some(Rollout {
        candidate: spec.model.clone(),
        candidate_digest: None,
        baseline_digest: None,
        missing: Vec::new(),
        phase: RolloutPhase::Staging,
        since: view.now,
        tested,
        message,
        samples: 0,
        gates: Vec::new(),
        hold: None,
        held_since: None,
        down_since: None,
        trial: new_trial(view),
        headway: 0,
        headway_at: None,
        before: None,
        seen: pods::seen(&view.pods, &spec.model),
        ending: None,
    })
}

/// What was said too late, of a rollout that has ended, does nothing to the next.
fn spend_late(input: &Input<'_>, record: &mut PoolRecord) {
    let late = input.commands.promote.iter().chain(&input.commands.abort);
    record.spent.extend(late.map(|command| command.id.clone()));
}

/// Notes since when the pool is down, and keeps the time for which the rollout
/// is held out of its deadlines.
fn keep_time(input: &Input<'_>, rollout: &mut Rollout) {
    let now = input.view.now;
    let up = input.view.pods.iter().any(|pod| pod.ready);
    rollout.down_since = (!up).then(|| rollout.down_since.unwrap_or(now));
    if input.is_held(rollout) {
        rollout.held_since.get_or_insert(now);
    } else if let Some(held) = rollout.held_since.take() {
        let pause = now.duration_since(held);
        for time in [&mut rollout.since].into_iter().chain(rollout.headway_at.as_mut()) {
            *time = time.saturating_add(pause).unwrap_or(now);
        }
    }
}

/// What ends a rollout in whatever phase it is.
fn interrupted(input: &Input<'_>, record: &PoolRecord, rollout: &Rollout) -> Option<Next> {
    if rollout.phase == RolloutPhase::Reverting {
        return None;
    }
    if input.told(&input.commands.abort, rollout) {
        return Some(Next::refuse(Outcome::Aborted, "called off by hand".to_owned()));
    }
    let wanted = &input.spec.model;
    if same_model(wanted, &rollout.candidate) {
        return None;
    }
    let title = wanted.title();
    let (outcome, message) = if same_model(wanted, old(record)) {
        (Outcome::Aborted, format!("the spec names {title} again"))
    } else {
        (Outcome::Superseded, format!("the spec names {title} now"))
    };
    Some(Next::End(Ending { outcome, message, refused: false }))
}

/// A spec that no longer asks for a comparison ends the one under way, or the
/// wait for one; one that asks for it now gets it while no caller has heard the
/// candidate.
fn tested_otherwise(input: &Input<'_>, rollout: &mut Rollout) -> Option<Next> {
    let wanted = input.spec.strategy == Strategy::Shadow;
    let passed = rollout.tested && matches!(rollout.hold, Some(Hold::AwaitingPromotion | Hold::OffersLess));
    let undecided = match rollout.phase {
        RolloutPhase::Staging | RolloutPhase::Shadowing => true,
        RolloutPhase::Paused => !passed,
        _ => false,
    };
    if !undecided || rollout.tested == wanted {
        return None;
    }
    rollout.tested = wanted;
    let message = match wanted {
        true => "the spec asks for a comparison now: it is loaded in the shadow",
        false => "the spec no longer asks for a comparison: it is fetched by the pods, untested",
    };
    Some(Next::Go(RolloutPhase::Staging, message.to_owned()))
}

/// The model that a rollout goes back to.
fn old(record: &PoolRecord) -> &ModelRecord {
    record.previous.as_ref().map_or(&record.stable, |previous| &previous.record)
}

fn wants(spec: &PoolSpec, record: &PoolRecord) -> Wants {
    let Some(rollout) = record.rollout.as_ref().filter(|rollout| rollout.tested) else {
        return Wants::default();
    };
    let compares = rollout.phase == RolloutPhase::Shadowing;
    let is_tried = compares || rollout.phase == RolloutPhase::Staging;
    Wants {
        trial: rollout.trial.clone(),
        shadow: is_tried.then(|| rollout.candidate.clone()),
        baseline: (is_tried && spec.fresh_baseline).then(|| record.stable.clone()),
        judge: compares.then(|| Comparison {
            id: rollout.trial.clone(),
            baseline_digest: rollout.baseline_digest.clone(),
            candidate_digest: pods::expected_digest(rollout).map(str::to_owned),
        }),
        mirror: compares,
    }
}

fn recheck(record: &PoolRecord, changed: bool, orders: &[Order]) -> Option<Duration> {
    let phase = record.rollout.as_ref().map(|rollout| rollout.phase);
    let is_held = record.rollout.as_ref().is_some_and(|rollout| rollout.held_since.is_some());
    match phase {
        _ if changed || !orders.is_empty() => Some(POLL),
        None | Some(RolloutPhase::Paused) => None,
        Some(RolloutPhase::Reverting) => Some(POLL),
        Some(_) if is_held => Some(SLOW_POLL),
        Some(_) => Some(POLL),
    }
}

/// None if the clock has gone back.
fn elapsed(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or_default()
}
