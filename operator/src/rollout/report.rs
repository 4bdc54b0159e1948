//! What people are told: status, condition, events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{GateStatus, PoolModel, RolloutEntry, RolloutPhase, RolloutStatus, ServedModel, Verdict};
use ttsfleet_wire::model::ModelRecord;

use super::decision::{Note, Progress, Quality};
use super::record::{Ended, Hold, Outcome, PoolRecord, Rollout, pinned, same_model};
use super::view::{PodView, PoolSpec, PoolView};
use super::{gates, trial};

/// What the fleet's status says of the pool; `message` is what the phase waits
/// for just now.
pub(super) fn progress(
    spec: &PoolSpec,
    record: &PoolRecord,
    view: &PoolView,
    message: Option<String>,
) -> Progress {
    let rollout = match (&record.rollout, &record.last) {
        (Some(rollout), _) => Some(under_way(spec, view, rollout, message)),
        (None, Some(last)) if last.outcome.is_refusal() => Some(refused(spec, last)),
        (None, _) => None,
    };
    let history = record.history.iter().map(|entry| RolloutEntry {
        model: entry.model.clone(),
        digest: entry.digest.clone(),
        outcome: format!("{:?}", entry.outcome),
        message: entry.message.clone(),
        at: Time(entry.at),
    });
    Progress { rollout, serving: serving(&view.pods), history: history.collect() }
}

fn under_way(spec: &PoolSpec, view: &PoolView, rollout: &Rollout, message: Option<String>) -> RolloutStatus {
    let message = message.unwrap_or_else(|| rollout.message.clone());
    let (phase, since, message) = match rollout.held_since {
        Some(since) => {
            let by = if spec.paused { "by rollout.paused" } else { "while the pool has no pods" };
            let words = format!("held {by} in {}: {message}", rollout.phase);
            (RolloutPhase::Paused, since, words)
        }
        None => (rollout.phase, rollout.since, message),
    };
    let (samples, gates) = measured(spec, view, rollout);
    RolloutStatus {
        phase,
        since: Time(since),
        candidate: model(&rollout.candidate, rollout.candidate_digest.as_deref()),
        message,
        samples: whole(samples),
        min_samples: i64::from(spec.shadow.min_samples),
        gates,
    }
}

/// The newest figures there are.
fn measured(spec: &PoolSpec, view: &PoolView, rollout: &Rollout) -> (u64, Vec<GateStatus>) {
    let live = rollout.phase == RolloutPhase::Shadowing;
    let report = view.report.as_ref().filter(|report| live && report.session == rollout.trial);
    report.map_or_else(
        || (rollout.samples, rollout.gates.clone()),
        |report| (report.samples, gates::examine(report, &spec.gates).gates),
    )
}

fn refused(spec: &PoolSpec, last: &Ended) -> RolloutStatus {
    RolloutStatus {
        phase: RolloutPhase::Stable,
        since: Time(last.at),
        candidate: model(&last.candidate, last.digest.as_deref()),
        message: format!("{:?}: {}", last.outcome, last.message),
        samples: whole(last.samples),
        min_samples: i64::from(spec.shadow.min_samples),
        gates: last.gates.clone(),
    }
}

fn whole(samples: u64) -> i64 {
    i64::try_from(samples).unwrap_or(i64::MAX)
}

fn model(record: &ModelRecord, digest: Option<&str>) -> PoolModel {
    let digest = digest.or_else(|| pinned(record)).map(str::to_owned);
    match record.source {
        Some(_) => PoolModel { name: record.name.clone(), version: record.version.clone(), digest },
        None => PoolModel::built_in(digest),
    }
}

/// What ready pods serve, most pods first.
fn serving(pods: &[PodView]) -> Vec<ServedModel> {
    let mut served: Vec<ServedModel> = Vec::new();
    for loaded in pods.iter().filter(|pod| pod.ready).filter_map(PodView::serving) {
        let title = loaded.record.title();
        match served.iter_mut().find(|served| served.model == title && served.digest == loaded.digest) {
            Some(served) => served.pods += 1,
            None => served.push(ServedModel { model: title, digest: loaded.digest.clone(), pods: 1 }),
        }
    }
    served.sort_by(|a, b| b.pods.cmp(&a.pods).then_with(|| a.model.cmp(&b.model)));
    served
}

/// The condition QualityGate.
pub(super) fn quality(spec: &PoolSpec, record: &PoolRecord, view: &PoolView, progress: &Progress) -> Quality {
    let Some(rollout) = &record.rollout else {
        return at_rest(spec, record);
    };
    let (status, reason) = match rollout.phase {
        _ if rollout.held_since.is_some() => (None, Reason::Paused),
        RolloutPhase::Stable | RolloutPhase::Staging => match trial::no_place(view) {
            Some(_) if rollout.tested => (None, Reason::ShadowUnschedulable),
            _ => (None, Reason::Staging),
        },
        RolloutPhase::Shadowing => (None, Reason::Judging),
        RolloutPhase::Paused => (None, held(rollout.hold)),
        RolloutPhase::Promoting | RolloutPhase::Soaking => (Some(true), passed(&rollout.gates)),
        RolloutPhase::Reverting => {
            let refused = rollout.ending.as_ref().is_none_or(|ending| ending.refused);
            let outcome = rollout.ending.as_ref().map_or(Outcome::Reverted, |ending| ending.outcome);
            (refused.then_some(false), found(outcome, &rollout.gates))
        }
    };
    let words = progress.rollout.as_ref().map_or("", |status| &status.message);
    Quality { status, reason, message: format!("{}: {words}", rollout.candidate.title()) }
}

fn at_rest(spec: &PoolSpec, record: &PoolRecord) -> Quality {
    let (stable, wanted) = (record.stable.title(), spec.model.title());
    if let Some(last) = &record.last {
        let kept = match last.outcome.is_refusal() {
            true => format!(". The pods keep {stable}; name another model in the spec, or retry this one"),
            false => String::new(),
        };
        let message = format!("{}: {}{kept}", last.candidate.title(), last.message);
        return Quality {
            status: Some(!last.outcome.is_refusal()),
            reason: found(last.outcome, &last.gates),
            message,
        };
    }
    let (status, reason, message) = if same_model(&spec.model, &record.stable) {
        (Some(true), Reason::NothingToJudge, format!("the pods serve {stable}, as the spec says"))
    } else if spec.paused {
        (None, Reason::Paused, format!("{wanted} is not tried while rollout.paused is set"))
    } else {
        (None, Reason::Staging, format!("{wanted} is tried as soon as the pods run the current template"))
    };
    Quality { status, reason, message }
}

fn held(hold: Option<Hold>) -> Reason {
    match hold {
        Some(Hold::AwaitingPromotion) => Reason::AwaitingPromotion,
        Some(Hold::OffersLess) => Reason::OffersLess,
        Some(Hold::ShadowUnschedulable) => Reason::ShadowUnschedulable,
        Some(Hold::Inconclusive) | None => Reason::Inconclusive,
    }
}

fn passed(gates: &[GateStatus]) -> Reason {
    let all = !gates.is_empty() && gates.iter().all(|gate| gate.verdict == Verdict::Pass);
    if all { Reason::Passed } else { Reason::Untested }
}

fn found(outcome: Outcome, gates: &[GateStatus]) -> Reason {
    match outcome {
        Outcome::Promoted => passed(gates),
        Outcome::Rejected => Reason::Rejected,
        Outcome::Reverted => Reason::Reverted,
        Outcome::Aborted | Outcome::Superseded => Reason::Aborted,
    }
}

/// The event of a phase's beginning.
pub(super) fn entered(phase: RolloutPhase, hold: Option<Hold>, note: &str) -> Note {
    let (warning, reason) = match (phase, hold) {
        (RolloutPhase::Shadowing, _) => (false, "Judging"),
        (RolloutPhase::Promoting, _) => (false, "Promoting"),
        (RolloutPhase::Soaking, _) => (false, "Soaking"),
        (RolloutPhase::Reverting, _) => (true, "Reverting"),
        (RolloutPhase::Paused, Some(Hold::AwaitingPromotion)) => (false, "AwaitingPromotion"),
        (RolloutPhase::Paused, Some(Hold::OffersLess)) => (true, "OffersLess"),
        (RolloutPhase::Paused, Some(Hold::ShadowUnschedulable)) => (true, "ShadowUnschedulable"),
        (RolloutPhase::Paused, _) => (true, "Inconclusive"),
        (RolloutPhase::Stable | RolloutPhase::Staging, _) => (false, "RolloutStarted"),
    };
    Note { warning, reason, note: note.to_owned() }
}

/// The event of a rollout's end.
pub(super) fn ended(outcome: Outcome, note: &str) -> Note {
    let (warning, reason) = match outcome {
        Outcome::Promoted => (false, "Promoted"),
        Outcome::Rejected => (true, "Rejected"),
        Outcome::Reverted => (true, "Reverted"),
        Outcome::Aborted => (false, "Aborted"),
        Outcome::Superseded => (false, "Superseded"),
    };
    Note { warning, reason, note: note.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use rstest::rstest;
    use ttsfleet_crds::{Gates, Promotion, Strategy};
    use ttsfleet_wire::admin::Headroom;
    use ttsfleet_wire::model::ModelSource;

    use super::*;
    use crate::rollout::{Bounds, Commands, ShadowSpec, SwapSpec, decide};

    fn hibari() -> ModelRecord {
        let source = ModelSource { uri: "file:///models/a".to_owned(), digest: None, secret: None };
        ModelRecord { name: "hibari".to_owned(), version: "2".to_owned(), source: Some(source) }
    }

    /// Untested, to be promoted by hand, and overdue at once.
    fn spec(replicas: u32) -> PoolSpec {
        PoolSpec {
            pool: "main".to_owned(),
            model: hibari(),
            replicas,
            memory: 4 << 30,
            strategy: Strategy::Direct,
            fresh_baseline: true,
            shadow: ShadowSpec { min_samples: 100, deadline: Duration::ZERO },
            gates: Bounds::read(&Gates::default()).expect("decimals"),
            promotion: Promotion::Manual,
            swap: SwapSpec { headroom: Headroom::Overlap, allow_downtime: false, soak: Duration::ZERO },
            paused: false,
        }
    }

    #[test]
    fn the_status_names_a_model_as_commands_do() {
        for record in [hibari(), ModelRecord::default()] {
            assert_eq!(model(&record, Some("sha256:0")).title(), record.title());
        }
    }

    #[rstest]
    #[case::nobody_to_spare_it(0, true)]
    #[case::not_fetched_in_time(1, false)]
    fn the_wait_for_a_promotion_is_told_from_other_waits(#[case] replicas: u32, #[case] expected: bool) {
        let (spec, commands) = (spec(replicas), Commands::default());
        let now = Timestamp::UNIX_EPOCH;
        let view = PoolView {
            pods: vec![],
            shadow: vec![],
            baseline: vec![],
            report: None,
            judge_problem: None,
            now,
        };
        let begun = decide(&spec, &commands, &PoolRecord::first(ModelRecord::default()), &view);
        let held = decide(&spec, &commands, &begun.record, &view);
        let rollout = held.progress.rollout.expect("a rollout");
        assert_eq!(rollout.phase, RolloutPhase::Paused, "{}", rollout.message);
        assert_eq!(rollout.awaits_promotion(), expected, "{}", rollout.message);
    }
}
