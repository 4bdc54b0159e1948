use kube::api::ObjectMeta;
use kube::runtime::events::EventType;
use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::{PoolModel, TtsDeploymentSpec};

use super::*;
use crate::fleet::apply::Changes;

fn object(replicas: i32) -> TtsDeployment {
    TtsDeployment {
        metadata: ObjectMeta {
            name: Some("narrator".to_owned()),
            namespace: Some("studio".to_owned()),
            generation: Some(4),
            ..ObjectMeta::default()
        },
        spec: TtsDeploymentSpec { replicas, ..TtsDeploymentSpec::default() },
        status: None,
    }
}

/// A Deployment whose controller counts (there, current, ready) pods.
fn named(name: &str, counts: (i32, i32, i32), condition: Value) -> Arc<Deployment> {
    let (there, current, ready) = counts;
    let component = if name.ends_with("-gateway") { "gateway" } else { "inference" };
    let value = json!({
        "metadata": {"name": name, "generation": 2, "labels": {"app.kubernetes.io/component": component}},
        "spec": {"selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": there, "updatedReplicas": current, "readyReplicas": ready,
            "conditions": [condition],
        },
    });
    Arc::new(serde_json::from_value(value).expect("a deployment"))
}

fn deployment(counts: (i32, i32, i32), condition: Value) -> Arc<Deployment> {
    named("narrator-main", counts, condition)
}

/// Two pods of the gateway, of which so many are ready.
fn gateway(ready: i32) -> Arc<Deployment> {
    named("narrator-gateway", (2, 2, ready), brought_up())
}

fn brought_up() -> Value {
    json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"})
}

fn coming_up() -> Value {
    json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"})
}

fn view<'a>(object: &'a TtsDeployment, deployments: &'a [Arc<Deployment>]) -> View<'a> {
    View {
        object,
        deployments,
        obstacle: None,
        problems: vec![],
        trial: None,
        unreached: BTreeMap::new(),
        models: vec![],
        adjusted: &[],
        lexicon: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn problem(reason: Reason) -> Option<Problem> {
    Some(Problem { reason, message: "what to do".to_owned(), until: None })
}

/// The conditions in one line: R(eady), A(vailable), P(rogressing), D(egraded), then Ready's reason.
fn line(status: &TtsDeploymentStatus) -> String {
    let letters: String =
        status.conditions.iter().filter(|c| c.status == "True").map(|c| &c.type_[..1]).collect();
    format!("{letters} {}", status.conditions[0].reason)
}

#[rstest]
#[case::not_made_yet(2, None, "P RollingOut")]
#[case::starting(2, Some(deployment((2, 2, 0), coming_up())), "P RollingOut")]
#[case::half_there(2, Some(deployment((2, 2, 1), coming_up())), "AP RollingOut")]
#[case::all_there(2, Some(deployment((2, 2, 2), brought_up())), "RA AllPodsReady")]
#[case::replacing(2, Some(deployment((3, 1, 3), coming_up())), "AP RollingOut")]
#[case::one_lost_later(2, Some(deployment((2, 2, 1), brought_up())), "A SomePodsNotReady")]
#[case::all_lost_later(2, Some(deployment((2, 2, 0), brought_up())), " NoPodReady")]
#[case::scaled_to_zero(0, Some(deployment((0, 0, 0), brought_up())), "R ScaledToZero")]
#[case::scaling_down(1, Some(deployment((2, 2, 2), brought_up())), "AP RollingOut")]
fn conditions_follow_the_pods(
    #[case] replicas: i32,
    #[case] deployment: Option<Arc<Deployment>>,
    #[case] expected: &str,
) {
    let object = object(replicas);
    let deployments: Vec<_> = deployment.into_iter().chain([gateway(2)]).collect();
    assert_eq!(line(&derive(&view(&object, &deployments))), expected);
}

#[rstest]
#[case::one_of_two(1, "A SomePodsNotReady")]
#[case::none(0, " NoGatewayReady")]
fn pods_behind_a_gateway_that_does_not_serve_are_out_of_reach(#[case] ready: i32, #[case] expected: &str) {
    let deployments = [deployment((2, 2, 2), brought_up()), gateway(ready)];
    let status = derive(&view(&object(2), &deployments));
    assert_eq!(line(&status), expected);
    let message = &status.conditions[0].message;
    assert!(
        message.contains("main 2 of 2") && message.contains(&format!("gateway {ready} of 2")),
        "{message}"
    );
    assert_eq!((status.gateway.replicas, status.gateway.ready), (2, ready));
}

#[rstest]
#[case::both((2, 2, 2), (1, 1, 1), "RA AllPodsReady")]
#[case::only_the_second((2, 2, 0), (1, 1, 1), "A SomePodsNotReady")]
#[case::none((2, 2, 0), (1, 1, 0), " NoPodReady")]
fn any_pool_makes_a_fleet_available_and_all_of_them_make_it_ready(
    #[case] main: (i32, i32, i32),
    #[case] backup: (i32, i32, i32),
    #[case] expected: &str,
) {
    let mut object = object(2);
    object.spec.pools.push(Pool { replicas: Some(1), ..Pool::named("backup") });
    let deployments =
        [named("narrator-backup", backup, brought_up()), deployment(main, brought_up()), gateway(2)];
    let status = derive(&view(&object, &deployments));
    assert_eq!(line(&status), expected);
    assert_eq!((status.replicas, status.ready_replicas), (3, main.2 + backup.2));
    let ready: Vec<_> = status.pools.iter().map(|pool| (pool.name.as_str(), pool.ready)).collect();
    assert_eq!(ready, [("main", main.2), ("backup", backup.2)]);
}

#[test]
fn a_deployment_that_its_controller_has_not_seen_is_not_ready() {
    let (object, mut unseen) = (object(2), Deployment::clone(&deployment((2, 2, 2), brought_up())));
    unseen.metadata.generation = Some(3);
    assert_eq!(line(&derive(&view(&object, &[Arc::new(unseen), gateway(2)]))), "AP RollingOut");
}

#[test]
fn a_stalled_gateway_names_the_secret_it_may_be_waiting_for() {
    let mut object = object(2);
    object.spec.routing.tier_from.api_key_secret_ref =
        Some(ttsfleet_crds::SecretRef { name: "keys".to_owned() });
    let condition = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let deployments = [deployment((2, 2, 2), brought_up()), named("narrator-gateway", (2, 2, 0), condition)];
    let status = derive(&view(&object, &deployments));
    assert!(status.conditions[3].message.contains("Secret keys"), "{}", status.conditions[3].message);
}

#[test]
fn an_obstacle_is_the_reason_of_everything_that_waits_for_it() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let view = View { obstacle: problem(Reason::NameConflict), ..view(&object, &deployments) };
    let status = derive(&view);
    assert_eq!(line(&status), "AD NameConflict", "what serves goes on serving");
    assert_eq!(status.conditions[3].message, "what to do");
}

#[test]
fn a_pod_problem_that_is_over_leaves_the_fleet_ready_but_degraded() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let view =
        View { problems: problem(Reason::OutOfMemory).into_iter().collect(), ..view(&object, &deployments) };
    assert_eq!(line(&derive(&view)), "RAD AllPodsReady");
}

#[test]
fn a_pod_problem_explains_why_the_fleet_is_not_ready() {
    let (object, deployments) = (object(3), [deployment((3, 3, 2), coming_up()), gateway(2)]);
    let view = View {
        problems: problem(Reason::Unschedulable).into_iter().collect(),
        ..view(&object, &deployments)
    };
    assert_eq!(line(&derive(&view)), "APD Unschedulable");
}

#[rstest]
#[case(json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}), Reason::PodsRefused)]
#[case(json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}), Reason::RolloutStalled)]
fn the_deployments_own_complaints_are_passed_on(#[case] condition: Value, #[case] reason: Reason) {
    let (object, deployments) = (object(2), [deployment((0, 0, 0), condition), gateway(2)]);
    let status = derive(&view(&object, &deployments));
    assert_eq!(
        (status.conditions[3].status.as_str(), status.conditions[3].reason.clone()),
        ("True", reason.to_string())
    );
}

#[test]
fn a_trials_pods_that_are_refused_are_the_rollouts_matter() {
    let refused =
        json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"});
    let mut shadow = Deployment::clone(&named("narrator-main-shadow", (0, 0, 0), refused));
    shadow.metadata.labels =
        serde_json::from_value(json!({"ttsfleet.dev/trial-of": "main"})).expect("labels");
    let deployments = [deployment((2, 2, 2), brought_up()), gateway(2), Arc::new(shadow)];
    assert_eq!(line(&derive(&view(&object(2), &deployments))), "RA AllPodsReady");
}

#[test]
fn transition_times_change_only_with_the_status() {
    let deployments = [deployment((2, 2, 2), brought_up()), gateway(2)];
    let mut object = object(2);
    let first = derive(&view(&object, &deployments));
    object.status = Some(first.clone());
    let later = Timestamp::from_second(3600).expect("a time");
    let second = derive(&View { now: later, ..view(&object, &deployments) });
    assert_eq!(first, second, "nothing changed, so there is nothing to write");

    let third = derive(&View { now: later, ..view(&object, &[]) });
    let times: Vec<i64> = third.conditions.iter().map(|c| c.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [3600, 3600, 3600, 0], "Degraded was and stays False");
}

#[test]
fn the_status_says_what_the_scale_subresource_needs() {
    let (object, deployments) = (object(2), [deployment((2, 2, 1), brought_up()), gateway(2)]);
    let status = derive(&view(&object, &deployments));
    assert_eq!((status.replicas, status.ready_replicas, status.observed_generation), (2, 1, Some(4)));
    assert_eq!(
        status.selector,
        "app.kubernetes.io/component=inference,app.kubernetes.io/instance=narrator,app.kubernetes.io/name=ttsfleet"
    );
    assert_eq!((status.model.as_str(), status.pools[0].ready), ("built-in", 1));
}

fn model(version: &str) -> ModelRecord {
    let source =
        ttsfleet_wire::model::ModelSource { uri: "file:///models/a".to_owned(), digest: None, secret: None };
    ModelRecord { name: "hibari".to_owned(), version: version.to_owned(), source: Some(source) }
}

/// A pool that serves version 1, with version 2 in this phase.
fn trying(pool: &str, phase: RolloutPhase, status: Option<bool>, reason: Reason) -> PoolProgress {
    let candidate = PoolModel { name: "hibari".to_owned(), version: "2".to_owned(), digest: None };
    let rollout = RolloutStatus {
        phase,
        since: Time("2026-03-01T12:00:00.75Z".parse().expect("a time")),
        candidate,
        message: "12 of 100 pairs compared".to_owned(),
        samples: 12,
        min_samples: 100,
        gates: vec![],
    };
    let progress = Progress { rollout: Some(rollout), serving: vec![], history: vec![] };
    let quality = Quality { status, reason, message: "hibari@2: 12 of 100 pairs compared".to_owned() };
    PoolProgress { pool: pool.to_owned(), stable: model("1"), progress, quality }
}

#[test]
fn a_rollout_is_progress_and_takes_nothing_from_readiness() {
    let (mut object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let models = vec![trying("main", RolloutPhase::Shadowing, None, Reason::Judging)];
    let status = derive(&View { models, ..view(&object, &deployments) });
    assert_eq!(line(&status), "RAP AllPodsReady");
    assert!(status.conditions[2].message.contains("12 of 100"), "{}", status.conditions[2].message);
    let quality = &status.conditions[4];
    assert_eq!((quality.status.as_str(), quality.reason.as_str()), ("Unknown", "Judging"));
    assert_eq!(
        (status.model.as_str(), status.candidate.as_str(), status.phase.as_str()),
        ("hibari@1", "hibari@2", "Shadowing")
    );
    let stored: TtsDeploymentStatus =
        serde_json::from_value(serde_json::to_value(&status).expect("JSON")).expect("a status");
    assert_eq!(stored, status, "as the API gives it back, or it would be written in every pass");

    object.status = Some(status.clone());
    let unread = derive(&view(&object, &deployments));
    assert_eq!(unread.conditions[4], status.conditions[4], "what was not looked at stays as it was");
    assert_eq!(unread.pools, status.pools);
}

#[test]
fn a_rollout_that_waits_for_somebody_is_no_progress() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let models = vec![trying("main", RolloutPhase::Paused, None, Reason::AwaitingPromotion)];
    let status = derive(&View { models, ..view(&object, &deployments) });
    assert_eq!(line(&status), "RA AllPodsReady");
}

#[test]
fn the_gate_tells_of_the_pool_with_the_worst_news() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let models = vec![
        trying("main", RolloutPhase::Shadowing, None, Reason::Judging),
        trying("backup", RolloutPhase::Stable, Some(false), Reason::Rejected),
    ];
    let status = derive(&View { models, ..view(&object, &deployments) });
    let quality = &status.conditions[4];
    assert_eq!((quality.status.as_str(), quality.reason.as_str()), ("False", "Rejected"));
    assert!(quality.message.starts_with("Pool backup: "), "{}", quality.message);
}

#[test]
fn a_model_that_cannot_be_tried_is_no_fault_of_the_fleets() {
    let condition = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let mut shadow = Deployment::clone(&named("narrator-main-shadow", (1, 1, 0), condition));
    shadow.labels_mut().insert(labels::TRIAL_OF.to_owned(), "main".to_owned());
    let deployments = [deployment((2, 2, 2), brought_up()), gateway(2), Arc::new(shadow)];
    assert_eq!(line(&derive(&view(&object(2), &deployments))), "RA AllPodsReady");
}

#[test]
fn what_keeps_a_model_from_being_tried_is_told_and_takes_nothing_from_readiness() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let view = View { trial: problem(Reason::NameConflict), ..view(&object, &deployments) };
    let status = derive(&view);
    assert_eq!(line(&status), "RAD AllPodsReady");
    assert_eq!(status.conditions[3].reason, "NameConflict");
}

#[test]
fn the_worst_problem_hides_none_of_the_others() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let problems = [Reason::OutOfMemory, Reason::OutOfMemory, Reason::StrayPod];
    let problems = problems.into_iter().filter_map(problem).collect();
    let status = derive(&View { problems, ..view(&object, &deployments) });
    let degraded = &status.conditions[3];
    assert_eq!(
        (degraded.reason.as_str(), degraded.message.as_str()),
        ("OutOfMemory", "what to do Besides: what to do")
    );
}

#[rstest]
#[case::a_pool("main", " EndpointsDiffer")]
#[case::the_gateway("gateway", " EndpointsDiffer")]
fn pods_that_no_request_reaches_do_not_serve(#[case] part: &str, #[case] expected: &str) {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let unreached = BTreeMap::from([(part.to_owned(), 2)]);
    let problems = problem(Reason::EndpointsDiffer).into_iter().collect();
    let status = derive(&View { problems, unreached, ..view(&object, &deployments) });
    assert_eq!(line(&status), format!("D{expected}"));
    assert!(status.conditions[1].message.contains(&format!("{part} 0 of 2")), "{:?}", status.conditions[1]);
}

#[test]
fn no_more_pods_than_wanted_are_said_to_be_of_them() {
    let (object, deployments) = (object(2), [deployment((3, 2, 3), coming_up()), gateway(2)]);
    let status = derive(&view(&object, &deployments));
    let message = &status.conditions[1].message;
    assert_eq!(message, "Pods that serve: main 2 of 2 and 1 more, gateway 2 of 2.");
}

#[test]
fn marking_that_is_off_is_a_condition_and_told_once() {
    let mut object = object(2);
    let marked = derive(&view(&object, &[]));
    assert!(marked.conditions.iter().all(|condition| condition.type_ != "Unmarked"));
    object.spec.marking.enabled = false;
    let off = derive(&view(&object, &[]));
    let condition =
        off.conditions.iter().find(|condition| condition.type_ == "Unmarked").expect("a condition");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "MarkingDisabled"));
    assert!(condition.message.contains("AI Act"), "{}", condition.message);
    let told = |before: &TtsDeploymentStatus| {
        let events = crate::fleet::events::events(Some(before), &off, &Changes::default());
        let warnings = events.iter().filter(|event| event.reason == "MarkingDisabled");
        warnings.map(|event| matches!(event.type_, EventType::Warning)).collect::<Vec<_>>()
    };
    assert_eq!((told(&marked), told(&off)), (vec![true], vec![]));
}

#[test]
fn what_a_cluster_makes_of_objects_is_a_condition_and_told_again_only_when_it_changes() {
    let (object, deployments) = (object(2), [deployment((2, 2, 2), brought_up()), gateway(2)]);
    let models = || vec![trying("main", RolloutPhase::Stable, Some(true), Reason::NothingToJudge)];
    let fields = |count: usize| (0..count).map(|number| format!("spec.f{number}")).collect::<Vec<_>>();
    let of = |count| [Adjusted { object: "Deployment narrator-main".to_owned(), fields: fields(count) }];
    let (one, many) = (of(1), of(9));
    let status = |adjusted| derive(&View { models: models(), adjusted, ..view(&object, &deployments) });
    let (plain, one, many) = (status(&[]), status(&one), status(&many));
    let message = |status: &TtsDeploymentStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == "Adjusted");
        found.map(|condition| condition.message.clone())
    };
    assert_eq!(message(&plain), None);
    assert!(message(&one).is_some_and(|words| words.contains("Deployment narrator-main (spec.f0)")));
    assert!(message(&many).is_some_and(|words| words.contains("spec.f4 and 4 more)")));
    assert_eq!(line(&one), "RAQA AllPodsReady", "nothing is wrong with it");

    let told = |before, after| {
        let events = crate::fleet::events::events(Some(before), after, &Changes::default());
        events.iter().filter(|event| event.reason == "Adjusted").count()
    };
    assert_eq!((told(&plain, &one), told(&one, &one), told(&one, &many)), (1, 0, 1));

    let before = TtsDeployment { status: Some(one.clone()), ..object.clone() };
    let not_looked_at = derive(&view(&before, &deployments));
    assert_eq!(message(&not_looked_at), message(&one), "what was not looked at stays");
}

#[test]
fn entries_of_the_lexicon_that_are_not_used_are_a_condition_of_its_own() {
    let mut object = object(2);
    let deployments = [deployment((2, 2, 2), brought_up()), gateway(2)];
    let of = |object: &TtsDeployment, lexicon: Option<Applied>| {
        let status = derive(&View { lexicon, ..view(object, &deployments) });
        assert_eq!(
            line(&status).split(' ').nth(1),
            Some("AllPodsReady"),
            "the fleet is none the worse for it"
        );
        status
    };
    let found = |status: &TtsDeploymentStatus| {
        status.conditions.iter().find(|condition| condition.type_ == "LexiconApplied").cloned()
    };
    assert_eq!(found(&of(&object, None)), None);

    let (word, said) = ("kubectl".to_owned(), "cube control".to_owned());
    object.spec.lexicon.entries.insert(word.clone(), said.clone());
    let good = Applied { entries: [(word, said)].into(), trouble: vec![] };
    let good_status = of(&object, Some(good.clone()));
    let condition = found(&good_status).expect("a condition");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "EntriesApplied"));
    assert_eq!(condition.message, "1 entry is used.");

    let trouble = vec![
        (Reason::ConfigMapUnavailable, "It is not there.".to_owned()),
        (Reason::InvalidEntries, "Left out: k8s.".to_owned()),
    ];
    let bad_status = of(&object, Some(Applied { trouble, ..good }));
    let condition = found(&bad_status).expect("a condition");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ConfigMapUnavailable"));
    assert_eq!(condition.message, "It is not there. Left out: k8s. 1 entry is used.");

    let told = |before: &TtsDeploymentStatus| {
        let events = crate::fleet::events::events(Some(before), &bad_status, &Changes::default());
        events.iter().filter(|event| event.reason == "ConfigMapUnavailable").count()
    };
    assert_eq!((told(&good_status), told(&bad_status)), (1, 0), "it is told once");
    object.status = Some(bad_status);
    assert_eq!(found(&of(&object, None)), Some(condition), "where it was not looked at it stays");
    object.spec.lexicon.entries.clear();
    assert_eq!(found(&of(&object, None)), None, "and goes with the lexicon");
}
