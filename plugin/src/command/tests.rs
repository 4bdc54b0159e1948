use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::AWAITS_PROMOTION;

use super::*;

const NOW: &str = "2026-11-24T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn rollout(phase: &str) -> Value {
    json!({
        "phase": phase, "since": NOW, "message": "", "samples": 3, "minSamples": 20,
        "candidate": {"name": "hibari", "version": "new"},
    })
}

fn pool(name: &str, rollout: Value, history: Value) -> Value {
    json!({
        "name": name, "replicas": 2, "ready": 2, "model": {"name": "hibari", "version": "old"},
        "rollout": rollout, "history": history,
    })
}

fn refused(outcome: &str) -> Value {
    json!([{"model": "hibari@new", "outcome": outcome, "message": "cer", "at": NOW}])
}

fn fleet(pools: &[Value]) -> TtsDeployment {
    let source = json!({"uri": "file:///models/new"});
    let specs = pools.iter().map(
        |pool| json!({"name": pool["name"], "model": {"name": "hibari", "version": "new", "source": source}}),
    );
    serde_json::from_value(json!({
        "apiVersion": "ttsfleet.dev/v1alpha1",
        "kind": "TtsDeployment",
        "metadata": {"name": "narrator", "generation": 2},
        "spec": {"pools": specs.collect::<Vec<_>>()},
        "status": {"observedGeneration": 2, "pools": pools},
    }))
    .unwrap()
}

fn one(rollout: Value, history: Value) -> TtsDeployment {
    fleet(&[pool("main", rollout, history)])
}

#[rstest]
#[case(Verb::Promote, "Paused", "swap to hibari@new now")]
#[case(Verb::Abort, "Staging", "keeps serving hibari@old")]
#[case(Verb::Abort, "Shadowing", "keeps serving hibari@old")]
#[case(Verb::Abort, "Paused", "keeps serving hibari@old")]
#[case(Verb::Abort, "Promoting", "go back to the model they had before hibari@new")]
#[case(Verb::Abort, "Soaking", "go back to the model they had before hibari@new")]
fn a_command_that_has_an_effect_says_which(#[case] verb: Verb, #[case] phase: &str, #[case] follows: &str) {
    let plan = plan(verb, &one(rollout(phase), json!([])), None, now()).unwrap();
    assert_eq!(plan.value, "main/hibari@new/2026-11-24T12:00:00Z");
    assert!(plan.follows.contains(follows), "{}", plan.follows);
}

#[rstest]
#[case(Verb::Promote, "Shadowing", "still being tried (Shadowing)")]
#[case(Verb::Promote, "Soaking", "let in already")]
#[case(Verb::Promote, "Stable", "no rollout is under way; it serves hibari@old")]
#[case(Verb::Abort, "Reverting", "on its way out already")]
#[case(Verb::Abort, "Stable", "no rollout is under way")]
#[case(Verb::Retry, "Shadowing", "being tried right now")]
#[case(Verb::Retry, "Stable", "no model has been tried yet")]
fn a_command_without_an_effect_is_refused(#[case] verb: Verb, #[case] phase: &str, #[case] refusal: &str) {
    let error = plan(verb, &one(rollout(phase), json!([])), None, now()).unwrap_err().to_string();
    assert!(error.starts_with("nothing to ") && error.contains(refusal), "{error}");
}

#[rstest]
#[case("Rejected")]
#[case("Reverted")]
#[case("Aborted")]
fn a_refused_model_that_the_spec_still_names_is_tried_again(#[case] outcome: &str) {
    let plan = plan(Verb::Retry, &one(Value::Null, refused(outcome)), None, now()).unwrap();
    assert_eq!(plan.value, "main/hibari@new/2026-11-24T12:00:00Z");
    let mut elsewhere = one(Value::Null, refused(outcome));
    elsewhere.spec.pools[0].model = None;
    let error = super::plan(Verb::Retry, &elsewhere, None, now()).unwrap_err().to_string();
    assert!(error.contains("the spec names built-in now"), "{error}");
}

#[test]
fn a_promoted_model_is_not_tried_again() {
    let error = plan(Verb::Retry, &one(Value::Null, refused("Promoted")), None, now()).unwrap_err();
    assert!(error.to_string().contains("was not refused"), "{error}");
}

#[test]
fn a_paused_spec_is_named_as_what_holds() {
    let mut paused = one(rollout("Paused"), json!([]));
    paused.spec.rollout.paused = true;
    let error = plan(Verb::Promote, &paused, None, now()).unwrap_err().to_string();
    assert!(error.contains("spec.rollout.paused"), "{error}");
}

#[test]
fn the_built_in_voice_is_named_as_the_operator_knows_it() {
    let mut back = rollout("Paused");
    back["candidate"] = json!({"name": "built-in", "version": ""});
    let plan = plan(Verb::Promote, &one(back, json!([])), None, now()).unwrap();
    assert_eq!(plan.value, "main/built-in/2026-11-24T12:00:00Z");
    assert!(plan.follows.contains("swap to built-in now"), "{}", plan.follows);
}

#[test]
fn a_held_model_is_tried_again_unless_it_waits_for_a_promotion_or_the_spec_holds_it() {
    let waiting = |message: &str| {
        let mut rollout = rollout("Paused");
        rollout["message"] = json!(message);
        one(rollout, json!([]))
    };
    let unclear = "no clear answer within 3600 s: 3 of 20 texts compared; see to that and retry it";
    let plan = plan(Verb::Retry, &waiting(unclear), None, now()).unwrap();
    assert_eq!(plan.value, "main/hibari@new/2026-11-24T12:00:00Z");
    assert_eq!(plan.follows, "hibari@new is tried once more in pool main, from the beginning.");

    let refusal =
        |fleet: TtsDeployment| super::plan(Verb::Retry, &fleet, None, now()).unwrap_err().to_string();
    let error = refusal(waiting(&format!("passed every gate in 20 texts; {AWAITS_PROMOTION}")));
    assert!(error.contains("hibari@new waits to be let in"), "{error}");
    let mut paused = waiting(unclear);
    paused.spec.rollout.paused = true;
    let error = refusal(paused);
    assert!(error.contains("spec.rollout.paused holds hibari@new"), "{error}");
}

#[test]
fn pods_that_swapped_before_the_spec_held_the_rollout_are_said_to_go_back() {
    let mut swapped = pool("main", rollout("Paused"), json!([]));
    swapped["model"]["version"] = json!("new");
    let mut fleet = fleet(&[swapped]);
    fleet.spec.rollout.paused = true;
    let plan = plan(Verb::Abort, &fleet, None, now()).unwrap();
    assert!(plan.follows.contains("swapped to it go back to the model they had before"), "{}", plan.follows);
    assert!(!plan.follows.contains("keeps serving"), "{}", plan.follows);
}

#[test]
fn of_several_pools_the_one_in_question_is_found_or_asked_for() {
    let idle = || pool("main", Value::Null, json!([]));
    let waiting = |name| pool(name, rollout("Paused"), json!([]));
    let found = plan(Verb::Promote, &fleet(&[idle(), waiting("backup")]), None, now()).unwrap();
    assert!(found.value.starts_with("backup/"));
    let both = fleet(&[waiting("main"), waiting("backup")]);
    let error = plan(Verb::Promote, &both, None, now()).unwrap_err().to_string();
    assert_eq!(error, "say which pool to promote with --pool: main or backup");
    assert!(plan(Verb::Promote, &both, Some("main"), now()).unwrap().value.starts_with("main/"));
    let error = plan(Verb::Promote, &both, Some("third"), now()).unwrap_err().to_string();
    assert_eq!(error, "the fleet narrator has no pool third");
}

#[test]
fn what_was_said_about_other_pools_stays_and_about_this_one_goes() {
    let mut fleet = one(rollout("Paused"), json!([]));
    let annotations = fleet.metadata.annotations.get_or_insert_default();
    annotations
        .insert("ttsfleet.dev/promote".to_owned(), "main/hibari@older/1, backup/hibari@new/2".to_owned());
    let plan = plan(Verb::Promote, &fleet, None, now()).unwrap();
    assert_eq!(plan.value, "backup/hibari@new/2,main/hibari@new/2026-11-24T12:00:00Z");
}

#[test]
fn nothing_is_said_about_a_spec_that_the_operator_has_not_seen() {
    let mut fleet = one(rollout("Paused"), json!([]));
    fleet.metadata.generation = Some(3);
    let error = plan(Verb::Promote, &fleet, None, now()).unwrap_err().to_string();
    assert!(error.contains("try again in a moment"), "{error}");
}
