//! Stable, Staging, Shadowing and Paused.

use rstest::rstest;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{Promotion, RolloutPhase, Strategy, Verdict};
use ttsfleet_wire::admin::Step;
use ttsfleet_wire::judge::{Quantity, Report};

use super::fixture::*;
use crate::rollout::{Hold, Outcome, PodView, PoolRecord, PoolSpec, PoolView, decide};

#[test]
fn the_first_model_is_not_tested() {
    let record = PoolRecord::first(model(1));
    let decision = decided(&spec(1), &record, &view(vec![], vec![], 0));
    assert_eq!((line(&record, &decision), &decision.record), ("Stable".to_owned(), &record));
    assert_eq!((decision.quality.status, decision.quality.reason), (Some(true), Reason::NothingToJudge));
    assert_eq!(decision.recheck, None, "a pool at rest is left alone");
}

#[rstest]
#[case::what_pods_load_survives(Some(r#"{"name":"hibari","version":"1","source":null}"#), Some("{"), true)]
#[case::no_record_yet(Some(r#"{"name":"hibari","version":"1","source":null}"#), None, true)]
#[case::from_a_later_operator(
    None,
    Some(r#"{"stable":{"name":"hibari","version":"1","source":null},"moods":[],"history":[]}"#),
    true
)]
#[case::nothing(None, None, false)]
fn records_are_read_with_tolerance(
    #[case] model: Option<&str>,
    #[case] rollout: Option<&str>,
    #[case] found: bool,
) {
    let record = PoolRecord::read(model, rollout);
    assert_eq!(record.map(|record| record.stable.version), found.then(|| "1".to_owned()));
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let record = under_way(RolloutPhase::Soaking);
    let text = serde_json::to_string(&record).expect("JSON");
    assert_eq!(PoolRecord::read(None, Some(&text)), Some(record));
}

#[rstest]
#[case::another_model(spec(2), pods([1; 4]), "Staging s")]
#[case::the_same(spec(1), pods([1; 4]), "Stable")]
#[case::untested(PoolSpec { strategy: Strategy::Direct, ..spec(2) }, pods([1; 2]), "Staging a:stage2 b:stage2")]
#[case::held(PoolSpec { paused: true, ..spec(2) }, pods([1; 4]), "Stable")]
#[case::mounts_are_missing(spec(2), vec![pod("a", 1).outdated(), pod("b", 1)], "Stable")]
#[case::a_stray_pod(spec(1), pods([1, 3, 3, 3]), "Stable b:swap1")]
#[case::a_stray_pod_that_kept_it(spec(1), vec![pod("a", 1), pod("b", 2).and_keeps(1)], "Stable b:swap1")]
#[case::a_stray_pod_that_cannot(spec(1), vec![pod("a", 1), pod("b", 2).failed(1, false)], "Stable b:recycle")]
#[case::one_not_needed_any_more(spec(1), vec![pod("a", 1).and_keeps(2), pod("b", 1)], "Stable a:free")]
#[case::memory_lost(spec(1), vec![pod("a", 1), pod("b", 1).leaked(2 << 30), pod("c", 1).leaked(3 << 30), pod("d", 1)], "Stable b:recycle")]
#[case::little_memory_lost(spec(1), vec![pod("a", 1).leaked(1 << 20), pod("b", 1), pod("c", 1), pod("d", 1)], "Stable")]
#[case::memory_lost_while_another_is_away(spec(1), vec![pod("a", 1).leaked(2 << 30), pod("b", 1).unready(), pod("c", 1), pod("d", 1)], "Stable")]
#[case::memory_lost_in_a_pod_too_many_to_spare(spec(1), vec![pod("a", 1).leaked(2 << 30)], "Stable")]
fn a_stable_pool_follows_its_spec(
    #[case] spec: PoolSpec,
    #[case] pods: Vec<PodView>,
    #[case] expected: &str,
) {
    let record = PoolRecord::first(model(1));
    let decision = decided(&spec, &record, &view(pods, vec![], 0));
    assert_eq!(line(&record, &decision), expected);
}

#[rstest]
fn the_stable_model_is_kept_up_while_another_is_tried(
    #[values(RolloutPhase::Staging, RolloutPhase::Shadowing, RolloutPhase::Paused)] phase: RolloutPhase,
    #[values(false, true)] paused: bool,
) {
    let pods = vec![pod("a", 1).and_keeps(3), pod("b", 3), pod("c", 1).busy(Step::Loading, 3)];
    let decision = decided(&PoolSpec { paused, ..spec(2) }, &under_way(phase), &view(pods, vec![], 10));
    assert_eq!(orders(&decision), ["c:swap1", "a:free"], "one at a time, and one is busy");
}

#[test]
fn a_model_that_only_moved_is_not_tried_again() {
    let mut moved = spec(1);
    if let Some(source) = &mut moved.model.source {
        source.uri = "oci://elsewhere/hibari".to_owned();
    }
    let record = PoolRecord::first(model(1));
    let decision = decided(&moved, &record, &view(pods([1; 4]), vec![], 0));
    assert_eq!(line(&record, &decision), "Stable");
    assert_eq!(decision.record.stable, moved.model, "new pods fetch it from where it is now");
}

#[rstest]
#[case::not_there_yet(vec![], 10, "Staging s", "so far")]
#[case::fetching(vec![shadow().starting().busy(Step::Staging, 2)], 10, "Staging s", "12 of 40 MB")]
#[case::source_away(vec![shadow().starting().busy(Step::Staging, 2).in_trouble("503")], 10, "Staging s", "trying again: 503")]
#[case::loaded(vec![shadow()], 10, "Shadowing sjm", "now compared")]
#[case::one_of_two_loaded(vec![shadow().without_place(), pod("shadow-b", 2)], 10, "Shadowing sjm", "now compared")]
#[case::cannot_be_loaded(vec![shadow().starting().failed(2, false)], 10, "Rejected", "load: pod shadow-a: a tensor is missing")]
#[case::cannot_be_loaded_yet(vec![shadow().starting().failed(2, true)], 10, "Staging s", "a tensor is missing")]
#[case::ended_once(vec![shadow().dark().ended(1)], 10, "Staging s", "weights.bin is cut short")]
#[case::keeps_ending(vec![shadow().dark().ended(2)], 10, "Rejected", "load: pod shadow-a ended 2 times: weights.bin is cut short")]
#[case::other_bytes(vec![shadow().reporting(digest(9))], 10, "Rejected", "not sha256:")]
#[case::no_place(vec![shadow().without_place()], 10, "Staging s", "0/3 nodes fit")]
#[case::no_place_for_long(vec![shadow().without_place()], 3600, "Paused", "no place to run within 3600 s: 0/3 nodes fit")]
#[case::hangs(vec![shadow().starting().busy(Step::Loading, 2)], 3600, "Rejected", "hangs while it loads")]
#[case::silent(vec![shadow().starting().dark()], 3600, "Rejected", "load: pod shadow-a was not ready within 3600 s")]
#[case::source_away_for_long(vec![shadow().starting().busy(Step::Staging, 2).in_trouble("503")], 3600, "Paused", "503")]
#[case::no_image_for_long(vec![shadow().without_image()], 3600, "Paused", "ErrImagePull")]
#[case::nothing_for_long(vec![], 3600, "Paused", "not compared within 3600 s")]
fn a_candidate_is_loaded_in_the_shadow(
    #[case] shadow: Vec<PodView>,
    #[case] seconds: i64,
    #[case] expected: &str,
    #[case] words: &str,
) {
    let record = under_way(RolloutPhase::Staging);
    let decision = decided(&spec(2), &record, &view(pods([1; 4]), shadow, seconds));
    assert_eq!(line(&record, &decision), expected);
    assert!(message(&decision).contains(words), "{}", message(&decision));
    assert_eq!(decision.record.stable, model(1));
}

#[rstest]
#[case::not_there_yet(vec![], 10, "Staging", "hibari@1 is not loaded yet in fresh pods")]
#[case::loading(vec![pod("baseline-a", 1).starting()], 10, "Staging", "hibari@1 is not loaded yet")]
#[case::loaded(vec![pod("baseline-a", 1)], 10, "Shadowing", "now compared")]
#[case::other_bytes(vec![pod("baseline-a", 1).reporting(digest(9))], 10, "Staging", "and the pods serve sha256:")]
#[case::source_gone(vec![pod("baseline-a", 1).starting().failed(1, false)], 10, "Staging", "a tensor is missing")]
#[case::source_gone_for_long(vec![pod("baseline-a", 1).starting().failed(1, false)], 3600, "Paused", "a tensor is missing")]
#[case::keeps_ending(vec![pod("baseline-a", 1).dark().ended(9)], 10, "Staging", "weights.bin is cut short")]
#[case::no_place(vec![pod("baseline-a", 1).without_place()], 10, "Staging", "0/3 nodes fit")]
#[case::no_place_for_long(vec![pod("baseline-a", 1).without_place()], 3600, "Paused", "no place to run within 3600 s: 0/3 nodes fit")]
fn a_comparison_begins_when_the_stable_model_is_loaded_in_fresh_pods_too(
    #[case] baseline: Vec<PodView>,
    #[case] seconds: i64,
    #[case] expected: &str,
    #[case] words: &str,
) {
    let record = under_way(RolloutPhase::Staging);
    let unplaced = baseline
        .iter()
        .any(|pod| pod.problem.as_ref().is_some_and(|problem| problem.message.contains("nodes")));
    let view = PoolView { baseline, ..view(pods([1; 4]), vec![shadow()], seconds) };
    let decision = decided(&spec(2), &record, &view);
    assert_eq!(line(&record, &decision).split(' ').next(), Some(expected));
    assert!(message(&decision).contains(words), "{}", message(&decision));
    assert!(decision.record.history.is_empty(), "it is no fault of the candidate");
    assert_eq!(decision.quality.reason == Reason::ShadowUnschedulable, unplaced);
    let compared = matches!(expected, "Staging" | "Shadowing");
    assert_eq!(decision.wants.baseline, compared.then(|| model(1)));
}

#[test]
fn on_whole_gpus_the_pods_that_serve_are_compared_with_and_that_is_said() {
    let spec = PoolSpec { fresh_baseline: false, ..spec(2) };
    let view = || PoolView { baseline: vec![], ..view(pods([1; 4]), vec![shadow()], 10) };
    let begun = decided(&spec, &under_way(RolloutPhase::Staging), &view());
    assert_eq!((line(&begun.record, &begun).as_str(), &begun.wants.baseline), ("Shadowing sjm", &None));
    let record = under_way(RolloutPhase::Shadowing);
    let still = decided(&spec, &record, &view());
    let words = "times are compared with pods that serve callers, too";
    assert!(message(&still).contains(words), "{}", message(&still));
    let passed = decided(&spec, &record, &PoolView { report: Some(report(100, -0.5, 0.5)), ..view() });
    assert!(message(&passed).contains(words), "{}", message(&passed));
}

#[test]
fn a_shadow_without_a_place_is_told_in_the_condition() {
    let record = under_way(RolloutPhase::Staging);
    let decision = decided(&spec(2), &record, &view(pods([1; 4]), vec![shadow().without_place()], 10));
    assert_eq!((decision.quality.status, decision.quality.reason), (None, Reason::ShadowUnschedulable));
    let held = decided(&spec(2), &record, &view(pods([1; 4]), vec![shadow().without_place()], 3600));
    assert_eq!((held.quality.status, held.quality.reason), (None, Reason::ShadowUnschedulable));
}

#[rstest]
#[case::staging(RolloutPhase::Staging, Hold::Inconclusive, "Staging a:stage2 b:stage2")]
#[case::shadowing(RolloutPhase::Shadowing, Hold::Inconclusive, "Staging a:stage2 b:stage2")]
#[case::without_a_place(RolloutPhase::Paused, Hold::ShadowUnschedulable, "Staging a:stage2 b:stage2")]
#[case::unclear(RolloutPhase::Paused, Hold::Inconclusive, "Staging a:stage2 b:stage2")]
#[case::passed(RolloutPhase::Paused, Hold::AwaitingPromotion, "Paused")]
#[case::offers_less(RolloutPhase::Paused, Hold::OffersLess, "Paused")]
#[case::swapping(RolloutPhase::Promoting, Hold::Inconclusive, "Promoting a:stage2 b:stage2")]
fn a_spec_that_no_longer_asks_for_a_comparison_ends_it(
    #[case] phase: RolloutPhase,
    #[case] hold: Hold,
    #[case] expected: &str,
) {
    let paused = phase == RolloutPhase::Paused;
    let record = under_way(phase).but(|rollout| rollout.hold = paused.then_some(hold));
    let spec = PoolSpec { strategy: Strategy::Direct, promotion: Promotion::Manual, ..spec(2) };
    let decision = decided(&spec, &record, &view(pods([1; 2]), vec![shadow()], 10));
    assert_eq!(line(&record, &decision), expected);
    let passed = [Hold::AwaitingPromotion, Hold::OffersLess].contains(&hold);
    let tested = phase == RolloutPhase::Promoting || passed;
    assert_eq!(decision.record.rollout.as_ref().map(|rollout| rollout.tested), Some(tested));
    assert!(decision.wants.shadow.is_none(), "{:?}", decision.wants);
}

#[rstest]
#[case::none_fetched(pods([1; 2]), 10, "Staging a:stage2 b:stage2")]
#[case::one_fetches(vec![pod("a", 1).busy(Step::Staging, 2), pod("b", 1)], 10, "Staging b:stage2")]
#[case::one_fetched(vec![pod("a", 1).has_in_store(2), pod("b", 1)], 10, "Staging b:stage2")]
#[case::all_fetched(vec![pod("a", 1).has_in_store(2), pod("b", 1).has_in_store(2)], 10, "Promoting a:swap2")]
#[case::cannot(vec![pod("a", 1).failed(2, false), pod("b", 1)], 10, "Rejected")]
#[case::cannot_yet(vec![pod("a", 1).failed(2, true), pod("b", 1)], 10, "Staging a:stage2 b:stage2")]
#[case::not_in_time(pods([1; 1]), 3600, "Paused")]
#[case::nobody_there(vec![], 10, "Staging")]
fn an_untested_candidate_is_fetched_by_the_pods(
    #[case] pods: Vec<PodView>,
    #[case] seconds: i64,
    #[case] expected: &str,
) {
    let spec = PoolSpec { strategy: Strategy::Direct, ..spec(2) };
    let record = under_way(RolloutPhase::Staging).but(|rollout| rollout.tested = false);
    let decision = decided(&spec, &record, &view(pods, vec![], seconds));
    assert_eq!(line(&record, &decision), expected);
}

#[rstest]
#[case::loaded_in_the_shadow(true, vec![shadow()], Promotion::Automatic, 120, "Promoted")]
#[case::no_place_for_a_shadow(true, vec![shadow().without_place()], Promotion::Automatic, 120, "Promoted")]
#[case::untested(false, vec![], Promotion::Automatic, 120, "Promoted")]
#[case::still_loading(true, vec![shadow().starting()], Promotion::Automatic, 120, "Staging s")]
#[case::broken_too(true, vec![shadow().ended(2)], Promotion::Automatic, 120, "Rejected")]
#[case::down_for_a_moment(true, vec![shadow()], Promotion::Automatic, 119, "Staging s")]
#[case::promoted_by_hand(true, vec![shadow()], Promotion::Manual, 120, "Paused")]
fn a_remedy_reaches_a_pool_that_is_down(
    #[case] tested: bool,
    #[case] shadow: Vec<PodView>,
    #[case] promotion: Promotion,
    #[case] seconds: i64,
    #[case] expected: &str,
) {
    let record = under_way(RolloutPhase::Staging).but(|rollout| {
        (rollout.tested, rollout.down_since) = (tested, Some(start()));
    });
    let down = vec![pod("a", 1).dark().ended(9)];
    let strategy = if tested { Strategy::Shadow } else { Strategy::Direct };
    let spec = PoolSpec { promotion, strategy, ..spec(2) };
    let decision = decided(&spec, &record, &view(down.clone(), shadow, seconds));
    assert_eq!(line(&record, &decision), expected);
    if expected == "Promoted" {
        assert_eq!(decision.record.stable, model(2), "starting pods load it");
        assert_eq!((decision.quality.status, decision.quality.reason), (Some(true), Reason::Untested));
        assert!(decision.quality.message.contains("no pod of the pool is ready"));
    }
    let told = decide(
        &spec,
        &commands(&[("promote", "main/hibari@2")]),
        &decision.record,
        &view(down, vec![], seconds),
    );
    if expected == "Paused" {
        assert_eq!(line(&decision.record, &told), "Promoted");
    }
}

#[rstest]
#[case(RolloutPhase::Staging, "Staging s")]
#[case(RolloutPhase::Shadowing, "Shadowing sjm")]
fn a_pool_whose_pods_take_long_to_start_is_not_given_an_untested_model(
    #[case] phase: RolloutPhase,
    #[case] expected: &str,
) {
    let record = under_way(phase).but(|rollout| rollout.down_since = Some(start()));
    let loads = vec![pod("a", 1).starting(), pod("b", 1).dark().unready()];
    let decision = decided(&spec(2), &record, &view(loads, vec![shadow()], 1800));
    assert_eq!(line(&record, &decision), expected);
}

#[rstest]
#[case(RolloutPhase::Staging, "Staging s")]
#[case(RolloutPhase::Shadowing, "Shadowing sjm")]
fn a_comparison_waits_while_the_pool_has_no_pods(#[case] phase: RolloutPhase, #[case] expected: &str) {
    let record = under_way(phase);
    let none = PoolSpec { replicas: 0, ..spec(2) };
    let held = decided(&none, &record, &view(vec![], vec![shadow()], 10));
    let still = decided(&none, &held.record, &view(vec![], vec![shadow()], 90_000));
    assert_eq!((line(&record, &still).as_str(), &still.record), (expected, &held.record));
    assert!(message(&still).starts_with("held while the pool has no pods"), "{}", message(&still));
    let on = decided(&spec(2), &still.record, &view(vec![pod("a", 1).starting()], vec![shadow()], 90_001));
    assert_eq!(line(&still.record, &on), expected, "and the deadline has waited, too");
}

#[test]
fn a_spec_that_asks_for_a_comparison_gets_it_before_any_caller_hears_the_candidate() {
    for phase in [RolloutPhase::Staging, RolloutPhase::Paused] {
        let record = under_way(phase).but(|rollout| {
            (rollout.tested, rollout.hold) = (false, rollout.hold.map(|_| Hold::AwaitingPromotion));
        });
        let fetched = vec![pod("a", 1).has_in_store(2)];
        let decision = decided(&spec(2), &record, &view(fetched, vec![], 10));
        assert_eq!(line(&record, &decision), "Staging s", "{phase}");
    }
}

#[test]
fn what_pods_did_before_is_noted_before_the_judge_speaks_prompts_to_them() {
    let record = under_way(RolloutPhase::Staging);
    let asked = |requests| vec![pod("a", 1).served(requests, 0, 80)];
    let before = |requests| {
        let compared = decided(&spec(2), &record, &view(asked(requests), vec![shadow()], 10));
        assert_eq!(line(&record, &compared), "Shadowing sjm");
        compared.record.rollout.and_then(|rollout| rollout.before)
    };
    assert_eq!(before(30).map(|before| before.requests), Some(30));
    assert_eq!(before(19), None, "too few to say anything: it is noted later");
}

#[test]
fn most_pods_decide_what_a_pool_serves_whose_record_is_lost() {
    let view = |pods| view(pods, vec![], 0);
    assert_eq!(view(pods([1, 2, 1])).served_by_most(), Some(&model(1)));
    assert_eq!(view(vec![pod("a", 2).unready(), pod("b", 1)]).served_by_most(), Some(&model(1)));
    assert_eq!(view(vec![pod("a", 1).dark()]).served_by_most(), None);
}

#[test]
fn a_pool_without_pods_takes_a_new_model_as_it_is() {
    let spec = PoolSpec { replicas: 0, strategy: Strategy::Direct, ..spec(2) };
    let begun = decided(&spec, &PoolRecord::first(model(1)), &view(vec![], vec![], 0));
    let done = decided(&spec, &begun.record, &view(vec![], vec![], 1));
    assert_eq!((line(&begun.record, &done).as_str(), &done.record.stable), ("Promoted", &model(2)));
}

#[rstest]
#[case::no_report(None, 10, "Shadowing sjm", "0 of 100 texts")]
#[case::too_few(Some(report(99, -0.5, 0.5)), 10, "Shadowing sjm", "99 of 100 texts")]
#[case::passes(Some(report(100, -0.5, 0.5)), 10, "Promoting a:stage2 b:stage2 c:stage2 d:stage2", "passed every gate in 100 texts")]
#[case::undecided(
    Some(report(500, 0.5, 1.5)),
    10,
    "Shadowing sjm",
    "undecided: cer, mos, prosody, loudness, treble, errors, firstSound, latency"
)]
#[case::undecided_for_long(Some(report(500, 0.5, 1.5)), 3600, "Paused", "no clear answer within 3600 s")]
#[case::fails(Some(report(10, 1.1, 1.5)), 10, "Rejected", "prosody: ")]
#[case::too_early_to_fail(Some(report(9, 1.1, 1.5)), 10, "Shadowing sjm", "9 of 100 texts")]
#[case::another_trial(Some(Report { session: "6".to_owned(), ..report(100, -0.5, 0.5) }), 10, "Shadowing sjm", "0 of 100 texts")]
#[case::baseline_has_trouble(Some(report(99, -0.5, 0.5)), 11, "Shadowing sjm", "baseline: ErrImagePull")]
#[case::texts_that_repeat(Some(Report { repeated: 40, ..report(12, 0.5, 1.5) }), 10, "Shadowing sjm", "40 more pairs repeat these texts")]
#[case::judge_has_trouble(Some(Report { trouble: Some("no recogniser".to_owned()), ..report(0, 0.5, 1.5) }), 10, "Shadowing sjm", "judge: no recogniser")]
#[case::not_a_number(Some(report(500, f64::NAN, f64::NAN)), 10, "Shadowing sjm", "undecided")]
fn a_candidate_is_held_against_the_gates(
    #[case] report: Option<Report>,
    #[case] seconds: i64,
    #[case] expected: &str,
    #[case] words: &str,
) {
    let record = under_way(RolloutPhase::Shadowing);
    let baseline =
        if words.contains("baseline") { vec![pod("baseline-a", 1).without_image()] } else { vec![] };
    let view = PoolView { report, baseline, ..view(pods([1; 4]), vec![shadow()], seconds) };
    let decision = decided(&spec(2), &record, &view);
    assert_eq!(line(&record, &decision), expected);
    assert!(message(&decision).contains(words), "{}", message(&decision));
    assert_eq!(decision.record.stable, model(1));
}

#[rstest]
#[case(Quantity::Cer, "cer: +3.00 (+2.60 to +3.40) points, at most +2 points")]
#[case(Quantity::Mos, "mos: -0.150 (-0.170 to -0.130), at most 0.1 lower")]
#[case(Quantity::Prosody, "prosody: 0.375 (0.325 to 0.425), at most 0.25")]
#[case(Quantity::Loudness, "loudness: 4.50 (3.90 to 5.10) dB, at most 3 dB")]
#[case(Quantity::Treble, "treble: 9.00 (7.80 to 10.20) dB, at most 6 dB")]
#[case(Quantity::Errors, "errors: +0.75 (+0.65 to +0.85) points, at most +0.5 points")]
#[case(Quantity::FirstSound, "firstSound: 2.25 (1.95 to 2.55) times, at most 1.5 times")]
#[case(Quantity::Latency, "latency: 1.80 (1.56 to 2.04) times, at most 1.2 times")]
fn the_gate_that_fails_is_named_with_its_figures(#[case] bad: Quantity, #[case] expected: &str) {
    let record = under_way(RolloutPhase::Shadowing);
    let interval = |quantity| if quantity == bad { (1.3, 1.7) } else { (-0.2, 0.2) };
    let view = PoolView { report: Some(report_on(40, interval)), ..view(pods([1; 4]), vec![shadow()], 10) };
    let decision = decided(&spec(2), &record, &view);
    assert_eq!(last(&decision), Some((Outcome::Rejected, expected)));
    let status = decision.progress.rollout.as_ref().expect("the last report");
    let failed: Vec<_> = status.gates.iter().filter(|gate| gate.verdict == Verdict::Fail).collect();
    assert_eq!((failed.len(), status.samples), (1, 40));
    assert_eq!((decision.quality.status, decision.quality.reason), (Some(false), Reason::Rejected));
    assert!(decision.quality.message.contains("The pods keep hibari@1"), "{}", decision.quality.message);
    assert_eq!(decision.notes.iter().map(|note| note.reason).collect::<Vec<_>>(), ["Rejected"]);
}

#[test]
fn a_gate_without_a_sample_does_not_pass() {
    let record = under_way(RolloutPhase::Shadowing);
    let mut report = report(200, -0.5, 0.5);
    report.measures.retain(|measure| measure.quantity != Quantity::Mos);
    let view = PoolView { report: Some(report), ..view(pods([1; 4]), vec![shadow()], 10) };
    let decision = decided(&spec(2), &record, &view);
    assert!(message(&decision).contains("undecided: mos"), "{}", message(&decision));
}

#[rstest]
#[case::keeps_ending(shadow().ended(2), "Rejected", "errors: pod shadow-a ended 2 times")]
#[case::ended_once(shadow().ended(1), "Shadowing sjm", "shadow: weights.bin is cut short")]
#[case::changed_under_its_name(shadow().reporting(digest(9)), "Rejected", "not sha256:")]
#[case::gone(shadow().dark().unready(), "Shadowing sjm", "0 of 100")]
fn a_candidate_that_crashes_while_it_is_compared_is_refused(
    #[case] shadow: PodView,
    #[case] expected: &str,
    #[case] words: &str,
) {
    let record = under_way(RolloutPhase::Shadowing);
    let decision = decided(&spec(2), &record, &view(pods([1; 4]), vec![shadow], 10));
    assert_eq!(line(&record, &decision), expected);
    assert!(message(&decision).contains(words), "{}", message(&decision));
}

#[rstest]
#[case::passed_and_told(Hold::AwaitingPromotion, Promotion::Manual, "promote", "Promoting")]
#[case::passed(Hold::AwaitingPromotion, Promotion::Manual, "", "Paused")]
#[case::passed_and_no_longer_manual(Hold::AwaitingPromotion, Promotion::Automatic, "", "Promoting")]
#[case::unclear(Hold::Inconclusive, Promotion::Automatic, "", "Paused")]
#[case::unclear_and_told(Hold::Inconclusive, Promotion::Automatic, "promote", "Promoting")]
#[case::unclear_and_once_more(Hold::Inconclusive, Promotion::Automatic, "retry", "Staging")]
#[case::no_place_and_once_more(Hold::ShadowUnschedulable, Promotion::Automatic, "retry", "Staging")]
#[case::unclear_and_called_off(Hold::Inconclusive, Promotion::Automatic, "abort", "Aborted")]
fn a_held_candidate_waits_for_somebody(
    #[case] hold: Hold,
    #[case] promotion: Promotion,
    #[case] verb: &str,
    #[case] expected: &str,
) {
    let record = under_way(RolloutPhase::Paused).but(|rollout| rollout.hold = Some(hold));
    let spec = PoolSpec { promotion, ..spec(2) };
    let commands = commands(&[(verb, "main/hibari@2/2026-11-24T17:00:00Z")]);
    let view = view(pods([1; 4]), vec![], 1_000_000);
    let decision = decide(&spec, &commands, &record, &view);
    assert_eq!(line(&record, &decision).split(' ').next(), Some(expected));
    let again = decide(&spec, &commands, &decision.record, &view);
    if expected == "Staging" {
        assert_eq!(line(&decision.record, &again), "Staging s", "a command has its effect once");
        assert_eq!(again.record.spent, ["retry main/hibari@2/2026-11-24T17:00:00Z"]);
        assert_ne!(again.wants.trial, "7", "pods of the last trial say nothing of this one");
    }
}

#[test]
fn a_candidate_that_has_passed_waits_where_promotion_is_manual() {
    let record = under_way(RolloutPhase::Shadowing);
    let spec = PoolSpec { promotion: Promotion::Manual, ..spec(2) };
    let view = PoolView { report: Some(report(100, -0.5, 0.5)), ..view(pods([1; 4]), vec![shadow()], 10) };
    let decision = decided(&spec, &record, &view);
    assert_eq!(line(&record, &decision), "Paused", "the shadow is not kept for it");
    assert_eq!((decision.quality.status, decision.quality.reason), (None, Reason::AwaitingPromotion));
    let told = decide(&spec, &commands(&[("promote", "main/hibari@2")]), &record, &view);
    assert_eq!(line(&record, &told).split(' ').next(), Some("Promoting"), "it may be told beforehand");
}
