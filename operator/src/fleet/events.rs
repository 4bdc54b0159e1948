//! Events for people who read `kubectl describe`: what was written, and when
//! a fleet becomes ready or goes wrong. Never one for each pass.

use kube::runtime::events::{Event, EventType};
use sha2::{Digest, Sha256};
use ttsfleet_crds::TtsDeploymentStatus;
use ttsfleet_crds::conditions::{ConditionType, Reason};

use super::apply::Changes;
use crate::rollout::Note;

/// The API takes notes of up to 1 KiB.
const LONGEST_NOTE: usize = 1000;

/// The events that one pass gives cause for.
pub fn events(
    before: Option<&TtsDeploymentStatus>,
    after: &TtsDeploymentStatus,
    changes: &Changes,
) -> Vec<Event> {
    let mut events = Vec::new();
    let Changes { created, updated, removed, .. } = changes;
    for (reason, objects) in [("Created", created), ("Updated", updated), ("Removed", removed)] {
        if !objects.is_empty() {
            events.push(event(EventType::Normal, reason, &objects.join(", ")));
        }
    }
    let was = |type_| condition(before, type_);
    let is = |type_| condition(Some(after), type_);
    if let Some((true, reason, message)) = is(ConditionType::Degraded) {
        let same = was(ConditionType::Degraded).is_some_and(|(status, before, _)| status && before == reason);
        if !same && reason != Reason::WaitingForCleanup.to_string() {
            events.push(event(EventType::Warning, reason, message));
        }
    }
    if let (None, Some((_, reason, message))) = (was(ConditionType::Unmarked), is(ConditionType::Unmarked)) {
        events.push(event(EventType::Warning, reason, message));
    }
    if let Some((_, _, message)) = is(ConditionType::Adjusted)
        && was(ConditionType::Adjusted).map(|(.., before)| before) != Some(message)
    {
        events.push(event(EventType::Warning, "Adjusted", message));
    }
    // What is wrong with entries is told anew whenever it is something else.
    let lexicon =
        is(ConditionType::LexiconApplied).filter(|found| was(ConditionType::LexiconApplied) != Some(*found));
    if let Some((false, reason, message)) = lexicon {
        events.push(event(EventType::Warning, reason, message));
    }
    let became_ready = matches!(is(ConditionType::Ready), Some((true, ..)))
        && !matches!(was(ConditionType::Ready), Some((true, ..)));
    if became_ready {
        let message = is(ConditionType::Ready).map_or("", |(_, _, message)| message);
        events.push(event(EventType::Normal, "Ready", message));
    }
    events
}

/// The event of a rollout's step.
pub(crate) fn of_rollout(note: &Note) -> Event {
    let type_ = if note.warning { EventType::Warning } else { EventType::Normal };
    event(type_, note.reason, &note.note)
}

fn condition(status: Option<&TtsDeploymentStatus>, type_: ConditionType) -> Option<(bool, &str, &str)> {
    let found = status?.conditions.iter().find(|condition| condition.type_ == type_.to_string())?;
    Some((found.status == "True", &found.reason, &found.message))
}

fn event(type_: EventType, reason: &str, note: &str) -> Event {
    let mut end = note.len().min(LONGEST_NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    // The recorder takes events of one action and reason for one that repeats,
    // and keeps the first one's words: what says something else is another action.
    let action = format!("Reconcile-{}", hex::encode(&Sha256::digest(note)[..4]));
    Event { type_, reason: reason.to_owned(), note: Some(note[..end].to_owned()), action, secondary: None }
}
