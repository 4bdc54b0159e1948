//! What comes in between: another spec, a pause, a command.

use rstest::rstest;
use ttsfleet_crds::RolloutPhase;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_wire::admin::Step;
use ttsfleet_wire::judge::Report;

use super::fixture::*;
use crate::rollout::{Ended, Ending, Outcome, PodView, PoolRecord, PoolSpec, PoolView, decide};

const PHASES: [RolloutPhase; 5] = [
    RolloutPhase::Staging,
    RolloutPhase::Shadowing,
    RolloutPhase::Paused,
    RolloutPhase::Promoting,
    RolloutPhase::Soaking,
];

/// Pods as they are in a phase.
fn pods_in(phase: RolloutPhase) -> Vec<PodView> {
    let swapped = |name| pod(name, 2).and_keeps(1);
    match phase {
        RolloutPhase::Promoting => vec![swapped("a"), pod("b", 1).has_in_store(2)],
        RolloutPhase::Soaking => vec![swapped("a"), swapped("b")],
        _ => pods([1; 2]),
    }
}

/// Whether pods have to go back when a rollout ends in this phase.
fn reaches_pods(phase: RolloutPhase) -> bool {
    matches!(phase, RolloutPhase::Promoting | RolloutPhase::Soaking)
}

#[rstest]
#[case::another_model(3, "", Outcome::Superseded, "Staging s")]
#[case::back_again(1, "", Outcome::Aborted, "Stable")]
#[case::called_off(2, "abort", Outcome::Aborted, "Stable")]
fn a_rollout_that_is_given_up_leaves_the_old_model(
    #[case] wanted: u32,
    #[case] verb: &str,
    #[case] outcome: Outcome,
    #[case] after: &str,
) {
    for phase in PHASES {
        let (record, spec) = (under_way(phase), spec(wanted));
        let commands = commands(&[(verb, "main/hibari@2")]);
        let mut decision = decide(&spec, &commands, &record, &view(pods_in(phase), vec![], 10));
        if reaches_pods(phase) {
            let orders = orders(&decision);
            assert!(orders.iter().all(|order| order.ends_with("revert")), "{phase}: {orders:?}");
            assert_eq!(decision.record.stable, model(1), "{phase}");
            decision = decide(&spec, &commands, &decision.record, &view(pods([1; 2]), vec![], 11));
        }
        let entry = decision.record.history.first().expect("an entry");
        assert_eq!((entry.outcome, entry.model.as_str()), (outcome, "hibari@2"), "{phase}");
        assert_eq!((&decision.record.stable, &decision.record.previous), (&model(1), &None), "{phase}");
        let next = decide(&spec, &commands, &decision.record, &view(pods([1; 2]), vec![], 12));
        assert_eq!(line(&decision.record, &next), after, "{phase}");
    }
}

#[test]
fn a_model_that_comes_back_while_the_pods_go_back_is_tried_from_the_start() {
    let ending = Ending { outcome: Outcome::Superseded, message: String::new(), refused: false };
    let record = under_way(RolloutPhase::Reverting).but(|rollout| rollout.ending = Some(ending));
    let back = decided(&spec(2), &record, &view(pods([1; 2]), vec![], 10));
    assert_eq!(line(&record, &back), "Superseded");
    let next = decided(&spec(2), &back.record, &view(pods([1; 2]), vec![], 11));
    assert_eq!(line(&back.record, &next), "Staging s");
}

/// A record of version 2 as refused.
fn refused(outcome: Outcome) -> PoolRecord {
    let last = Ended {
        candidate: model(2),
        digest: Some(digest(2)),
        outcome,
        message: "mos: too low".to_owned(),
        at: start(),
        samples: 40,
        gates: Vec::new(),
    };
    PoolRecord { last: Some(last), ..PoolRecord::first(model(1)) }
}

#[rstest]
fn a_refused_model_is_not_tried_again_before_somebody_says_so(
    #[values(Outcome::Rejected, Outcome::Reverted, Outcome::Aborted)] outcome: Outcome,
) {
    let (record, view) = (refused(outcome), view(pods([1; 2]), vec![], 10));
    let left = decided(&spec(2), &record, &view);
    assert_eq!((line(&record, &left), left.quality.status), ("Stable".to_owned(), Some(false)));
    assert_eq!(left.recheck, None);

    let once = commands(&[("retry", "main/hibari@2/2026-11-24T17:00:00Z")]);
    let tried = decide(&spec(2), &once, &record, &view);
    assert_eq!(line(&record, &tried), "Staging s");
    let again = refused(outcome);
    let again = PoolRecord { spent: tried.record.spent, ..again };
    assert_eq!(line(&again, &decide(&spec(2), &once, &again, &view)), "Stable", "one retry is one trial");
    let twice = commands(&[("retry", "main/hibari@2/2026-11-24T18:00:00Z")]);
    assert_eq!(line(&again, &decide(&spec(2), &twice, &again, &view)), "Staging s");
}

#[test]
fn a_refused_model_is_tried_again_once_the_spec_has_named_another() {
    let (record, view) = (refused(Outcome::Rejected), view(pods([1; 2]), vec![], 10));
    let back = decided(&spec(1), &record, &view);
    assert_eq!((line(&record, &back).as_str(), back.quality.reason), ("Stable", Reason::NothingToJudge));
    assert_eq!(line(&back.record, &decided(&spec(2), &back.record, &view)), "Staging s");
}

#[test]
fn the_same_bytes_under_another_name_are_refused_as_well() {
    let mut renamed = spec(2);
    renamed.model.version = "2-final".to_owned();
    let record = refused(Outcome::Rejected);
    assert_eq!(line(&record, &decided(&renamed, &record, &view(pods([1; 2]), vec![], 10))), "Stable");
}

#[test]
fn a_pause_keeps_everything_where_it_is() {
    for phase in PHASES {
        let record = under_way(phase);
        let spec = PoolSpec { paused: true, ..spec(2) };
        let pass =
            PoolView { report: Some(report(100, -0.5, 0.5)), ..view(pods_in(phase), vec![shadow()], 3599) };
        let paused = decided(&spec, &record, &pass);
        let rollout = paused.record.rollout.as_ref().expect("a rollout");
        assert_eq!((rollout.phase, orders(&paused)), (phase, vec![]), "{phase}");
        let told = paused.progress.rollout.as_ref().map(|rollout| rollout.phase);
        assert_eq!((told, paused.quality.reason), (Some(RolloutPhase::Paused), Reason::Paused));
    }
}

#[test]
fn a_pause_does_not_use_up_the_deadline() {
    let record = under_way(RolloutPhase::Shadowing);
    let held = PoolSpec { paused: true, ..spec(2) };
    let at = |seconds| view(pods([1; 2]), vec![shadow()], seconds);
    let paused = decided(&held, &record, &at(3000));
    let still = decided(&held, &paused.record, &at(90_000));
    assert_eq!(still.record, paused.record, "and costs no writes");
    let on = decided(&spec(2), &still.record, &at(90_000));
    assert_eq!(line(&still.record, &on), "Shadowing sjm");
    let late = decided(&spec(2), &on.record, &at(90_600));
    assert_eq!(line(&on.record, &late), "Paused");
}

#[test]
fn a_candidate_is_not_late_while_it_is_held() {
    let held = PoolSpec { paused: true, ..spec(2) };
    let slow = |seconds| view(pods([1; 2]), vec![shadow().starting().busy(Step::Loading, 2)], seconds);
    let paused = decided(&held, &under_way(RolloutPhase::Staging), &slow(10));
    let still = decided(&held, &paused.record, &slow(90_000));
    assert_eq!(line(&paused.record, &still), "Staging s");
}

#[test]
fn a_failure_ends_a_rollout_although_it_is_held() {
    let held = PoolSpec { paused: true, ..spec(2) };
    let failing = pods([2; 4]).into_iter().map(|pod| pod.and_keeps(1).served(50, 25, 100)).collect();
    let record = under_way(RolloutPhase::Soaking);
    let decision = decided(&held, &record, &view(failing, vec![], 10));
    assert_eq!(line(&record, &decision), "Reverting a:revert b:revert c:revert d:revert");
}

#[rstest]
#[case::other_pool("other/hibari@2")]
#[case::other_model("main/hibari@3")]
#[case::no_model("main/")]
#[case::no_pool("hibari@2")]
#[case::nothing("")]
fn commands_for_others_are_not_obeyed(#[case] text: &str) {
    let record = under_way(RolloutPhase::Paused);
    let decision =
        decide(&spec(2), &commands(&[("promote", text)]), &record, &view(pods([1; 2]), vec![], 10));
    assert_eq!(line(&record, &decision), "Paused");
}

#[test]
fn commands_name_a_model_by_its_digest_too_and_stand_in_a_list() {
    let record = under_way(RolloutPhase::Paused);
    let text = format!("other/x@1, main/{}", digest(2));
    let decision =
        decide(&spec(2), &commands(&[("promote", &text)]), &record, &view(pods([1; 2]), vec![], 10));
    assert_eq!(line(&record, &decision), "Promoting a:stage2 b:stage2");
}

#[test]
fn what_is_said_after_a_rollout_has_ended_does_nothing_to_the_next() {
    let late = commands(&[("abort", "main/hibari@2/late"), ("promote", "main/hibari@2/late")]);
    let pass = view(pods([1; 2]), vec![], 10);
    let rest = decide(&spec(1), &late, &PoolRecord::first(model(1)), &pass);
    assert_eq!(rest.record.spent.len(), 2);
    let begun = decide(&spec(2), &late, &rest.record, &pass);
    let on = decide(&spec(2), &late, &begun.record, &pass);
    assert_eq!(line(&begun.record, &on), "Staging s");
}

#[test]
fn commands_that_have_had_their_effect_are_forgotten_with_their_annotation() {
    let record = under_way(RolloutPhase::Staging);
    let told = commands(&[("abort", "main/hibari@2"), ("promote", "main/hibari@2")]);
    let view = view(pods([1; 2]), vec![], 10);
    let ended = decide(&spec(2), &told, &record, &view);
    assert_eq!(ended.record.spent.len(), 2, "an old promote does not wait for the next trial either");
    assert_eq!(decide(&spec(2), &told, &ended.record, &view).record.spent.len(), 2);
    assert!(decided(&spec(2), &ended.record, &view).record.spent.is_empty());
}

#[test]
fn a_record_is_not_written_for_every_pair() {
    let record = under_way(RolloutPhase::Shadowing);
    let seen = |samples| {
        let report: Report = report(samples, 0.5, 1.5);
        let view = PoolView { report: Some(report), ..view(pods([1; 2]), vec![shadow()], 10) };
        decided(&spec(2), &record, &view)
    };
    assert_eq!(seen(20).record, seen(21).record);
    assert_ne!(seen(20).progress, seen(21).progress, "the status shows them");
}

#[test]
fn ten_ends_are_kept() {
    let mut record = PoolRecord::first(model(1));
    for version in 2..20 {
        record.rollout = under_way(RolloutPhase::Staging).rollout;
        record = record.but(|rollout| rollout.candidate = model(version));
        record = decided(&spec(1), &record, &view(pods([1; 2]), vec![], 10)).record;
    }
    assert_eq!((record.history.len(), record.history[0].model.as_str()), (10, "hibari@19"));
}
