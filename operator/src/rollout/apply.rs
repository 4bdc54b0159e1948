//! What a step does to the record.

use ttsfleet_crds::RolloutPhase;

use super::command::Command;
use super::decide::{Input, Next};
use super::decision::Note;
use super::record::{Ended, Ending, Entry, MOST_ENTRIES, Outcome, PoolRecord, Previous, Rollout, pinned};
use super::view::PoolView;
use super::{offers, pods, report, swap};

/// Makes the record what a phase came to; what the rollout waits for, if that is
/// something else than before.
pub(super) fn apply(
    input: &Input<'_>,
    record: &mut PoolRecord,
    rollout: Rollout,
    next: Next,
    notes: &mut Vec<Note>,
) -> Option<String> {
    match next {
        Next::Stay(message) => {
            record.rollout = Some(rollout);
            return message;
        }
        Next::Go(phase, message) => enter(input, record, rollout, phase, message, notes),
        Next::Hold(hold, message) => {
            let rollout = Rollout { hold: Some(hold), ..rollout };
            enter(input, record, rollout, RolloutPhase::Paused, message, notes);
        }
        Next::Adopt(message) => {
            record.stable = rollout.candidate.clone();
            let ending = Ending { outcome: Outcome::Promoted, message, refused: false };
            finish(input, record, &rollout, ending, notes);
        }
        Next::End(ending) if matches!(rollout.phase, RolloutPhase::Promoting | RolloutPhase::Soaking) => {
            if let Some(previous) = record.previous.take() {
                record.stable = previous.record;
            }
            let message = ending.message.clone();
            let rollout = Rollout { ending: Some(ending), ..rollout };
            enter(input, record, rollout, RolloutPhase::Reverting, message, notes);
        }
        Next::End(ending) => finish(input, record, &rollout, ending, notes),
        Next::Done(message) => {
            let promoted = Ending { outcome: Outcome::Promoted, message, refused: false };
            let ending = rollout.ending.clone().unwrap_or(promoted);
            finish(input, record, &rollout, ending, notes);
        }
    }
    None
}

fn enter(
    input: &Input<'_>,
    record: &mut PoolRecord,
    mut rollout: Rollout,
    phase: RolloutPhase,
    message: String,
    notes: &mut Vec<Note>,
) {
    let (pods, now) = (&input.view.pods, input.view.now);
    match phase {
        RolloutPhase::Staging => {
            let about = |command: &&Command| {
                command.is_about(&rollout.candidate, rollout.candidate_digest.as_deref())
            };
            let meant = input.commands.retry.iter().filter(about);
            record.spent.extend(meant.map(|command| command.id.clone()));
            rollout.trial = new_trial(input.view);
            rollout.candidate_digest = None;
        }
        RolloutPhase::Promoting => {
            rollout.baseline_digest =
                rollout.baseline_digest.take().or_else(|| pods::reported_digest(pods, &record.stable));
            rollout.seen = pods::seen(pods, &rollout.candidate);
        }
        RolloutPhase::Soaking => {
            let old = std::mem::replace(&mut record.stable, rollout.candidate.clone());
            record.previous = Some(Previous { record: old, digest: rollout.baseline_digest.clone() });
        }
        // The judge's own prompts are not among what callers have asked by now. What
        // both models offer is told by the pods that have just loaded them.
        RolloutPhase::Shadowing => {
            let known = pods::performance(pods, &record.stable);
            rollout.before = Some(known).filter(swap::tells_something);
            let (old, new) = (&record.stable, &rollout.candidate);
            let (old, new) = (pods::reported(pods, old), pods::reported(&input.view.shadow, new));
            rollout.missing = old.zip(new).map_or_else(Vec::new, |(old, new)| offers::missing(old, new));
        }
        RolloutPhase::Stable | RolloutPhase::Paused | RolloutPhase::Reverting => {}
    }
    rollout.hold = rollout.hold.filter(|_| phase == RolloutPhase::Paused);
    (rollout.phase, rollout.since, rollout.held_since) = (phase, now, None);
    rollout.message.clone_from(&message);
    let title = rollout.candidate.title();
    notes.push(report::entered(phase, rollout.hold, &format!("{title}: {message}")));
    record.rollout = Some(rollout);
}

fn finish(
    input: &Input<'_>,
    record: &mut PoolRecord,
    rollout: &Rollout,
    ending: Ending,
    notes: &mut Vec<Note>,
) {
    let Ending { outcome, message, refused } = ending;
    let Rollout { candidate, samples, gates, .. } = rollout.clone();
    let digest = rollout.candidate_digest.clone().or_else(|| pinned(&candidate).map(str::to_owned));
    let at = input.view.now;
    notes.push(report::ended(outcome, &format!("{}: {message}", candidate.title())));
    let commands = input.commands.all();
    let meant = commands.filter(|command| command.is_about(&candidate, digest.as_deref()));
    record.spent.extend(meant.map(|command| command.id.clone()));
    let model = candidate.title();
    record.history.insert(0, Entry { model, digest: digest.clone(), outcome, message: message.clone(), at });
    record.history.truncate(MOST_ENTRIES);
    let worth_knowing = refused || outcome == Outcome::Promoted;
    record.last = worth_knowing.then_some(Ended { candidate, digest, outcome, message, at, samples, gates });
    record.previous = None;
}

/// The time at which a trial begins is unlike that of any other of the pool.
pub(super) fn new_trial(view: &PoolView) -> String {
    view.now.as_millisecond().to_string()
}
