//! Promoting, Soaking and Reverting.

use std::time::Duration;

use rstest::rstest;
use ttsfleet_crds::RolloutPhase;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_wire::admin::{Headroom, Step};

use super::fixture::*;
use crate::rollout::{Ending, Outcome, PodView, PoolRecord, PoolSpec, SwapSpec};

/// Promoting, with headway made at its start.
fn promoting() -> PoolRecord {
    under_way(RolloutPhase::Promoting).but(|rollout| rollout.headway_at = Some(start()))
}

fn staged<const N: usize>(versions: [u32; N]) -> Vec<PodView> {
    pods(versions).into_iter().map(|pod| pod.has_in_store(2)).collect()
}

/// Pods of which one is changed.
fn with(mut pods: Vec<PodView>, index: usize, change: impl FnOnce(PodView) -> PodView) -> Vec<PodView> {
    let pod = change(pods[index].clone());
    pods[index] = pod;
    pods
}

#[rstest]
#[case::all_fetch_first(pods([1; 4]), "Promoting a:stage2 b:stage2 c:stage2 d:stage2")]
#[case::the_last_fetches(with(staged([1; 4]), 3, |_| pod("d", 1).busy(Step::Staging, 2)), "Promoting")]
#[case::the_first_swaps(staged([1; 4]), "Promoting a:swap2")]
#[case::one_at_a_time_of_four(with(staged([1; 4]), 2, |pod| pod.busy(Step::Loading, 2)), "Promoting")]
#[case::two_at_a_time_of_eight(staged([1; 8]), "Promoting a:swap2 b:swap2")]
#[case::one_more_of_eight(with(staged([1; 8]), 7, |pod| pod.busy(Step::WarmingUp, 2)), "Promoting a:swap2")]
#[case::the_next(staged([2, 1, 1, 1]), "Promoting b:swap2")]
#[case::a_new_pod_fetches(with(staged([2, 2, 2, 1]), 3, |_| pod("e", 1)), "Promoting e:stage2")]
#[case::one_that_is_silent_may_be_busy(with(staged([2, 1, 1, 1]), 3, PodView::dark), "Promoting")]
#[case::one_that_starts_is_waited_for(with(staged([2, 2, 2, 1]), 3, PodView::starting), "Promoting")]
#[case::all_swapped(pods([2; 4]), "Soaking")]
#[case::fewer_than_before(pods([2; 2]), "Soaking")]
#[case::none_left(vec![], "Promoting")]
fn pods_swap_some_at_a_time(#[case] pods: Vec<PodView>, #[case] expected: &str) {
    let record = promoting();
    assert_eq!(line(&record, &decided(&spec(2), &record, &view(pods, vec![], 10))), expected);
}

#[rstest]
#[case::the_others_speak(staged([1; 2]), "Promoting a:swap2")]
#[case::another_is_away(with(staged([1; 3]), 1, PodView::unready), "Promoting")]
#[case::one_is_under_way(with(staged([1; 2]), 0, |pod| pod.starting().busy(Step::Draining, 2)), "Promoting")]
#[case::alone(staged([1; 1]), "Promoting")]
fn one_pod_at_a_time_leaves_service_where_there_is_no_room(
    #[case] pods: Vec<PodView>,
    #[case] expected: &str,
) {
    let swap = SwapSpec { headroom: Headroom::DrainFirst, ..spec(2).swap };
    let spec = PoolSpec { swap, ..spec(2) };
    let record = promoting();
    assert_eq!(line(&record, &decided(&spec, &record, &view(pods, vec![], 10))), expected);
}

#[test]
fn the_only_pod_leaves_service_only_where_the_spec_allows_it() {
    let swap = SwapSpec { headroom: Headroom::DrainFirst, ..spec(2).swap };
    let forbidden = PoolSpec { swap, ..spec(2) };
    let allowed = PoolSpec { swap: SwapSpec { allow_downtime: true, ..swap }, ..spec(2) };
    let (record, long) = (promoting(), 1_000_000);
    let waits = decided(&forbidden, &record, &view(staged([1]), vec![], long));
    assert_eq!(line(&record, &waits), "Promoting");
    assert!(message(&waits).contains("rollout.swap.allowDowntime"), "{}", message(&waits));
    let goes = decided(&allowed, &waits.record, &view(staged([1]), vec![], long));
    assert_eq!(line(&waits.record, &goes), "Promoting a:swap2", "the wait is not held against it");
}

#[rstest]
#[case::cannot_be_fetched(with(pods([1; 4]), 1, |pod| pod.failed(2, false)), 10, "Reverting", Outcome::Rejected)]
#[case::cannot_be_loaded(with(staged([2, 1, 1, 1]), 1, |pod| pod.failed(2, false)), 10, "Reverting a:swap1", Outcome::Reverted)]
#[case::other_bytes(with(staged([2, 1, 1, 1]), 0, |pod| pod.reporting(digest(9)).and_keeps(1)), 10, "Reverting a:revert", Outcome::Reverted)]
#[case::keeps_ending(with(staged([2, 1, 1, 1]), 1, |pod| pod.ended(2)), 10, "Reverting a:swap1", Outcome::Reverted)]
#[case::hangs(with(staged([1; 4]), 0, |pod| pod.busy(Step::Loading, 2)), 600, "Reverting a:swap1", Outcome::Reverted)]
#[case::away_for_long(with(staged([2, 2, 2, 1]), 3, |pod| pod.unready().dark()), 600, "Reverting a:swap1", Outcome::Reverted)]
#[case::fetches_for_long(pods([1; 4]), 3600, "Reverting", Outcome::Rejected)]
fn a_failure_takes_back_what_was_swapped(
    #[case] pods: Vec<PodView>,
    #[case] seconds: i64,
    #[case] expected: &str,
    #[case] outcome: Outcome,
) {
    // The headway that these pods have made by then.
    let headway = pods
        .iter()
        .map(|pod| 1 + usize::from(pod.has_staged(&model(2))) + usize::from(pod.serves(&model(2))));
    let headway = headway.sum();
    let record = promoting().but(|rollout| rollout.headway = headway);
    let decision = decided(&spec(2), &record, &view(pods, vec![], seconds));
    assert_eq!(line(&record, &decision), expected);
    assert_eq!(decision.record.stable, model(1));
    let ending = decision.record.rollout.and_then(|rollout| rollout.ending);
    assert_eq!(ending.map(|ending| (ending.outcome, ending.refused)), Some((outcome, true)));
}

#[rstest]
#[case::ended_once(with(staged([2, 1, 1, 1]), 1, |pod| pod.ended(1)), 10)]
#[case::tries_again(with(staged([2, 1, 1, 1]), 1, |pod| pod.failed(2, true)), 10)]
#[case::fetches(pods([1; 4]), 3599)]
fn what_may_pass_is_waited_for(#[case] pods: Vec<PodView>, #[case] seconds: i64) {
    let headway = pods
        .iter()
        .map(|pod| 1 + usize::from(pod.has_staged(&model(2))) + usize::from(pod.serves(&model(2))));
    let headway = headway.sum();
    let record = promoting().but(|rollout| rollout.headway = headway);
    let decision = decided(&spec(2), &record, &view(pods, vec![], seconds));
    assert_eq!(line(&record, &decision).split(' ').next(), Some("Promoting"));
}

#[test]
fn failures_before_the_promotion_are_not_held_against_it() {
    let old = with(staged([1; 4]), 0, |pod| pod.failed(2, false));
    let record = under_way(RolloutPhase::Paused);
    let told = crate::rollout::decide(
        &spec(2),
        &commands(&[("promote", "main/hibari@2")]),
        &record,
        &view(old.clone(), vec![], 10),
    );
    let next = decided(&spec(2), &told.record, &view(old.clone(), vec![], 11));
    assert_eq!(line(&told.record, &next), "Promoting a:swap2", "it is tried once more");
    let again = with(old, 0, |pod| pod.failed(2, false));
    let failed = decided(&spec(2), &next.record, &view(again, vec![], 12));
    assert_eq!(line(&next.record, &failed), "Reverting");
}

#[test]
fn pods_that_were_down_before_are_not_waited_for() {
    let pods = with(pods([2, 2, 2, 1]), 3, |pod| pod.dark().ended(70));
    let record = promoting().but(|rollout| {
        rollout.seen.entry("uid-d".to_owned()).or_default().ready = false;
    });
    let decision = decided(&spec(2), &record, &view(pods, vec![], 10));
    assert_eq!(line(&record, &decision), "Soaking", "they may need it to come up");
}

#[test]
fn the_record_turns_when_all_pods_serve_it() {
    let record = promoting();
    let decision = decided(&spec(2), &record, &view(pods([2; 4]), vec![], 10));
    assert_eq!(decision.record.stable, model(2), "pods that start now load it");
    let previous = decision.record.previous.expect("the way back");
    assert_eq!((previous.record, previous.digest), (model(1), Some(digest(1))));
}

#[test]
fn what_was_before_is_measured_as_the_promotion_begins() {
    let mut pods: Vec<_> = pods([1; 4]).into_iter().map(|pod| pod.served(100, 1, 80)).collect();
    // One is quick, and remembers.
    let old = pods[0].status.as_mut().and_then(|status| status.serving.replace(loaded(2)));
    if let Some(status) = &mut pods[0].status {
        status.previous = old;
    }
    let record = promoting();
    let first = decided(&spec(2), &record, &view(pods, vec![], 10));
    let before = first.record.rollout.as_ref().and_then(|rollout| rollout.before).expect("a measure");
    assert_eq!((before.requests, before.failed, before.first_audio_us), (400, 4, 396 * 80_000));
    let next = decided(&spec(2), &first.record, &view(staged([2, 1, 1, 1]), vec![], 11));
    assert_eq!(next.record.rollout.and_then(|rollout| rollout.before), Some(before), "and once");
}

/// Four pods with version 2, each of which was asked so often since.
fn soaked(requests: u64, failed: u64, ms: u64) -> Vec<PodView> {
    pods([2; 4]).into_iter().map(|pod| pod.served(requests, failed, ms)).collect()
}

#[rstest]
#[case::too_early(soaked(50, 0, 100), 59, "Soaking")]
#[case::well(soaked(50, 0, 100), 60, "Promoted a:free")]
#[case::nobody_asked(soaked(0, 0, 0), 60, "Promoted a:free")]
#[case::one_failed(soaked(5, 1, 100).into_iter().take(1).chain(soaked(20, 0, 100).into_iter().skip(1)).collect(), 10, "Soaking")]
#[case::many_failed(soaked(50, 3, 100), 10, "Reverting a:swap1")]
#[case::too_few_asked(soaked(4, 4, 100), 10, "Soaking")]
#[case::slow(soaked(50, 0, 200), 10, "Reverting a:swap1")]
#[case::a_little_slow(soaked(50, 0, 119), 10, "Soaking")]
#[case::slow_in_few(soaked(6, 0, 170), 10, "Soaking")]
#[case::slow_by_chance(soaked(50, 0, 149), 10, "Soaking")]
#[case::keeps_ending(with(pods([2; 4]), 1, |pod| pod.ended(2)), 10, "Reverting a:swap1")]
#[case::ended_once(with(pods([2; 4]), 1, |pod| pod.ended(1)), 10, "Soaking")]
#[case::changed_under_its_name(with(pods([2; 4]), 1, |pod| pod.reporting(digest(9))), 10, "Reverting a:swap1")]
#[case::a_pod_that_started_with_the_old_one(pods([2, 2, 2, 1]), 60, "Soaking d:swap2")]
#[case::none_ready(vec![pod("a", 2).unready()], 60, "Soaking")]
#[case::none_ready_for_long(vec![pod("a", 2).unready()], 660, "Reverting")]
#[case::one_silent_for_long(with(pods([2; 4]), 3, PodView::dark), 660, "Promoted")]
fn a_soak_ends_well_or_takes_the_pods_back(
    #[case] pods: Vec<PodView>,
    #[case] seconds: i64,
    #[case] expected: &str,
) {
    // The first pod still has the old one in memory once the soak is over.
    let pods = if expected == "Promoted a:free" { with(pods, 0, |pod| pod.and_keeps(1)) } else { pods };
    let record = under_way(RolloutPhase::Soaking);
    let decision = decided(&spec(2), &record, &view(pods, vec![], seconds));
    assert_eq!(line(&record, &decision), expected);
    let back = expected.starts_with("Reverting");
    assert_eq!(decision.record.stable, model(if back { 1 } else { 2 }), "what pods that start now load");
    assert_eq!(decision.record.previous.is_some(), expected.starts_with("Soaking"));
}

#[test]
fn a_soak_of_no_time_ends_as_soon_as_all_serve_it() {
    let swap = SwapSpec { soak: Duration::ZERO, ..spec(2).swap };
    let record = under_way(RolloutPhase::Soaking);
    let decision = decided(&PoolSpec { swap, ..spec(2) }, &record, &view(pods([2; 4]), vec![], 0));
    assert_eq!(line(&record, &decision), "Promoted");
}

#[test]
fn a_promotion_by_all_gates_is_told_apart_from_an_untested_one() {
    let untested = under_way(RolloutPhase::Soaking);
    let decision = decided(&spec(2), &untested, &view(pods([2; 4]), vec![], 60));
    assert_eq!((decision.quality.status, decision.quality.reason), (Some(true), Reason::Untested));
    let view_of_pass = crate::rollout::PoolView {
        report: Some(report(100, -0.5, 0.5)),
        ..view(pods([1; 4]), vec![shadow()], 10)
    };
    let passed = decided(&spec(2), &under_way(RolloutPhase::Shadowing), &view_of_pass);
    assert_eq!((passed.quality.status, passed.quality.reason), (Some(true), Reason::Passed));
}

fn reverting(refused: bool) -> PoolRecord {
    let ending = Ending { outcome: Outcome::Reverted, message: "errors: 6 %".to_owned(), refused };
    under_way(RolloutPhase::Reverting).but(|rollout| rollout.ending = Some(ending))
}

#[rstest]
#[case::at_once_where_it_was_kept(vec![pod("a", 2).and_keeps(1), pod("b", 2).and_keeps(1)], 10, "Reverting a:revert b:revert")]
#[case::some_at_a_time_where_not(pods([2; 4]), 10, "Reverting a:swap1")]
#[case::a_pod_that_loads_is_told_not_to(with(pods([1; 4]), 0, |pod| pod.busy(Step::Loading, 2)), 10, "Reverting a:swap1")]
#[case::a_pod_that_begins_to_swap_too(with(staged([1; 4]), 0, |pod| pod.busy(Step::Staging, 2)), 10, "Reverting a:swap1")]
#[case::a_pod_that_has_unloaded_too(with(pods([1; 4]), 0, |pod| pod.starting().busy(Step::Loading, 2)), 10, "Reverting a:swap1")]
#[case::a_pod_that_fetches_is_left_alone(with(pods([1; 4]), 0, |pod| pod.busy(Step::Staging, 2)), 10, "Reverted")]
#[case::a_pod_that_hangs_is_replaced(with(pods([1; 4]), 0, |pod| pod.busy(Step::Loading, 2)), 300, "Reverting a:recycle")]
#[case::a_pod_that_cannot_is_replaced(with(pods([1; 4]), 0, |_| pod("a", 2).failed(1, false)), 10, "Reverting a:recycle")]
#[case::but_not_while_another_is_away(with(with(pods([1; 4]), 0, |_| pod("a", 2).failed(1, false)), 1, PodView::unready), 10, "Reverting")]
#[case::a_silent_pod_is_awaited(with(pods([1; 4]), 0, PodView::dark), 10, "Reverting")]
#[case::though_not_for_ever(with(pods([1; 4]), 0, PodView::dark), 600, "Reverted")]
#[case::a_pod_that_starts_loads_the_old_one(with(pods([1; 4]), 0, PodView::starting), 10, "Reverted")]
#[case::a_pod_that_ended_starts_with_it(with(pods([1; 4]), 0, |pod| pod.dark().ended(1)), 10, "Reverted")]
#[case::none_left(vec![], 10, "Reverted")]
fn pods_go_back(#[case] pods: Vec<PodView>, #[case] seconds: i64, #[case] expected: &str) {
    let record = reverting(true);
    let decision = decided(&spec(2), &record, &view(pods, vec![], seconds));
    assert_eq!(line(&record, &decision), expected);
    assert_eq!((decision.quality.status, decision.quality.reason), (Some(false), Reason::Reverted));
}

#[test]
fn pods_go_back_although_the_rollout_is_held() {
    let record = reverting(true);
    let spec = PoolSpec { paused: true, ..spec(2) };
    let decision = decided(&spec, &record, &view(vec![pod("a", 2).and_keeps(1)], vec![], 10));
    assert_eq!(line(&record, &decision), "Reverting a:revert");
}
