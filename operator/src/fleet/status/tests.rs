use kube::api::ObjectMeta;
use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::TtsDeploymentSpec;

use super::*;

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
fn deployment(counts: (i32, i32, i32), condition: Value) -> Deployment {
    let (there, current, ready) = counts;
    let value = json!({
        "metadata": {"generation": 2},
        "spec": {"selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": there, "updatedReplicas": current, "readyReplicas": ready,
            "conditions": [condition],
        },
    });
    serde_json::from_value(value).expect("a deployment")
}

fn brought_up() -> Value {
    json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"})
}

fn coming_up() -> Value {
    json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"})
}

fn view<'a>(object: &'a TtsDeployment, deployment: Option<&'a Deployment>) -> View<'a> {
    View { object, deployment, obstacle: None, pods: None, now: Timestamp::UNIX_EPOCH }
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
    #[case] deployment: Option<Deployment>,
    #[case] expected: &str,
) {
    let object = object(replicas);
    assert_eq!(line(&derive(&view(&object, deployment.as_ref()))), expected);
}

#[test]
fn a_deployment_that_its_controller_has_not_seen_is_not_ready() {
    let (object, mut deployment) = (object(2), deployment((2, 2, 2), brought_up()));
    deployment.metadata.generation = Some(3);
    assert_eq!(line(&derive(&view(&object, Some(&deployment)))), "AP RollingOut");
}

#[test]
fn an_obstacle_is_the_reason_of_everything_that_waits_for_it() {
    let (object, deployment) = (object(2), deployment((2, 2, 2), brought_up()));
    let view = View { obstacle: problem(Reason::NameConflict), ..view(&object, Some(&deployment)) };
    let status = derive(&view);
    assert_eq!(line(&status), "AD NameConflict", "what serves goes on serving");
    assert_eq!(status.conditions[3].message, "what to do");
}

#[test]
fn a_pod_problem_that_is_over_leaves_the_fleet_ready_but_degraded() {
    let (object, deployment) = (object(2), deployment((2, 2, 2), brought_up()));
    let view = View { pods: problem(Reason::OutOfMemory), ..view(&object, Some(&deployment)) };
    assert_eq!(line(&derive(&view)), "RAD AllPodsReady");
}

#[test]
fn a_pod_problem_explains_why_the_fleet_is_not_ready() {
    let (object, deployment) = (object(3), deployment((3, 3, 2), coming_up()));
    let view = View { pods: problem(Reason::Unschedulable), ..view(&object, Some(&deployment)) };
    assert_eq!(line(&derive(&view)), "APD Unschedulable");
}

#[rstest]
#[case(json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}), Reason::PodsRefused)]
#[case(json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}), Reason::RolloutStalled)]
fn the_deployments_own_complaints_are_passed_on(#[case] condition: Value, #[case] reason: Reason) {
    let (object, deployment) = (object(2), deployment((0, 0, 0), condition));
    let status = derive(&view(&object, Some(&deployment)));
    assert_eq!(
        (status.conditions[3].status.as_str(), status.conditions[3].reason.clone()),
        ("True", reason.to_string())
    );
}

#[test]
fn transition_times_change_only_with_the_status() {
    let deployment = deployment((2, 2, 2), brought_up());
    let mut object = object(2);
    let first = derive(&view(&object, Some(&deployment)));
    object.status = Some(first.clone());
    let later = Timestamp::from_second(3600).expect("a time");
    let second = derive(&View { now: later, ..view(&object, Some(&deployment)) });
    assert_eq!(first, second, "nothing changed, so there is nothing to write");

    let third = derive(&View { now: later, ..view(&object, None) });
    let times: Vec<i64> = third.conditions.iter().map(|c| c.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [3600, 3600, 3600, 0], "Degraded was and stays False");
}

#[test]
fn the_status_says_what_the_scale_subresource_needs() {
    let (object, deployment) = (object(2), deployment((2, 2, 1), brought_up()));
    let status = derive(&view(&object, Some(&deployment)));
    assert_eq!((status.replicas, status.ready_replicas, status.observed_generation), (2, 1, Some(4)));
    assert_eq!(status.selector, "app.kubernetes.io/instance=narrator,app.kubernetes.io/name=ttsfleet");
    assert_eq!((status.model.as_str(), status.pools[0].ready), ("built-in", 1));
}
