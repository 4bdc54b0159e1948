use jiff::SignedDuration;
use kube::api::ObjectMeta;
use rstest::rstest;
use serde_json::{Value, json};
use ttsfleet_crds::{Gpu, GpuMode, TtsDeployment, TtsDeploymentSpec};

use super::*;
use crate::fleet::validate::validate;

fn diagnose(fleet: &Fleet, pods: &[Arc<Pod>], now: Timestamp) -> Option<Problem> {
    super::diagnose(fleet, pods, &VolumeTrouble::new(), now)
}

fn trouble(fleet: &Fleet, pod: &Pod, now: Timestamp) -> Option<rollout::Problem> {
    super::trouble(fleet, pod, &VolumeTrouble::new(), now)
}

fn fleet() -> Fleet {
    fleet_of(TtsDeploymentSpec::default())
}

fn fleet_of(spec: TtsDeploymentSpec) -> Fleet {
    let metadata = ObjectMeta {
        name: Some("narrator".to_owned()),
        namespace: Some("studio".to_owned()),
        uid: Some("0b0e".to_owned()),
        ..ObjectMeta::default()
    };
    let object = TtsDeployment { metadata, spec, status: None };
    validate(&object).expect("a valid spec")
}

fn labelled(name: &str, labels: Value, status: Value) -> Arc<Pod> {
    let pod = json!({"metadata": {"name": name, "labels": labels}, "status": status});
    Arc::new(serde_json::from_value(pod).expect("a pod"))
}

fn pod(name: &str, status: Value) -> Arc<Pod> {
    labelled(name, json!({"ttsfleet.dev/pool": "main"}), status)
}

fn gateway(status: Value) -> Arc<Pod> {
    labelled("narrator-gateway-1", json!({"app.kubernetes.io/component": "gateway"}), status)
}

fn container(mut status: Value) -> Value {
    for (key, value) in [("name", json!("server")), ("image", json!("")), ("imageID", json!(""))] {
        status[key] = value;
    }
    let defaults = [("ready", json!(false)), ("restartCount", json!(1))];
    for (key, value) in defaults {
        if status.get(key).is_none() {
            status[key] = value;
        }
    }
    json!({"containerStatuses": [status]})
}

fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn found(status: Value) -> Option<(Reason, String)> {
    diagnose(&fleet(), &[pod("narrator-main-1", status)], noon())
        .map(|problem| (problem.reason, problem.message))
}

#[rstest]
#[case::gpu("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "Free a GPU")]
#[case::memory("0/2 nodes are available: 2 Insufficient memory.", "Add a node, or lower")]
#[case::selector(
    "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    "Check spec.pools[main] against"
)]
fn an_unschedulable_pod_is_explained_with_the_schedulers_words(#[case] words: &str, #[case] advice: &str) {
    let condition =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words});
    let (reason, message) = found(json!({"conditions": [condition]})).expect("a problem");
    assert_eq!(reason, Reason::Unschedulable);
    assert!(message.contains(words) && message.contains(advice), "{message}");
}

#[test]
fn pools_that_share_gpus_and_find_no_second_node_are_told_to_add_one() {
    let mut spec = TtsDeploymentSpec::default();
    let gpu = Gpu { mode: GpuMode::Mps, memory_limit: Some("6Gi".into()), ..Gpu::default() };
    spec.pools[0].resources.gpu = gpu;
    let words = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.";
    let condition =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words});
    let pods = [pod("narrator-main-1", json!({"conditions": [condition]}))];
    let problem = diagnose(&fleet_of(spec), &pods, noon()).expect("a problem");
    assert!(problem.message.contains("Add a node whose GPUs are shared"), "{}", problem.message);
}

#[rstest]
#[case::still_down(json!({"waiting": {"reason": "CrashLoopBackOff"}}), true)]
#[case::just_back(json!({"running": {"startedAt": "2026-03-01T11:51:00Z"}}), true)]
#[case::long_back(json!({"running": {"startedAt": "2026-03-01T11:50:00Z"}}), false)]
fn running_out_of_memory_is_remembered_for_ten_minutes(#[case] state: Value, #[case] remembered: bool) {
    let end =
        json!({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-03-01T11:49:59Z"}});
    let status = container(json!({"state": state, "lastState": end, "ready": true}));
    let problem = found(status);
    assert_eq!(problem.is_some(), remembered);
    if let Some((reason, message)) = problem {
        assert_eq!(reason, Reason::OutOfMemory);
        assert!(message.contains("more memory than its 1Gi"), "{message}");
    }
}

#[test]
fn the_end_of_remembering_is_known() {
    let end = json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}});
    let state = json!({"running": {"startedAt": "2026-03-01T11:59:00Z"}});
    let pods = [pod("a", container(json!({"state": state, "lastState": end})))];
    let problem = diagnose(&fleet(), &pods, noon()).expect("a problem");
    assert_eq!(problem.until, noon().checked_add(SignedDuration::from_mins(9)).ok());
}

#[test]
fn a_model_that_cannot_be_loaded_is_told_in_the_servers_words() {
    let end = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "digest of model.json differs\n"}});
    let status = container(json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": end}));
    let (reason, message) = found(status).expect("a problem");
    assert_eq!(reason, Reason::ModelLoadFailed);
    assert!(message.contains("pool main") && message.contains("digest of model.json differs"), "{message}");
}

#[rstest]
#[case::without_a_word(json!({"exitCode": 101}), "exit code 101")]
#[case::by_a_signal(json!({"exitCode": 139, "message": "loading"}), "exit code 139")]
fn any_other_end_is_a_crash(#[case] end: Value, #[case] expected: &str) {
    let status = container(json!({"state": {"terminated": end}}));
    let (reason, message) = found(status).expect("a problem");
    assert_eq!(reason, Reason::CrashLooping);
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_pod_of_the_gateway_is_spoken_of_as_such() {
    let with_name = |mut status: Value| {
        status["containerStatuses"][0]["name"] = json!("gateway");
        status
    };
    let end = json!({"terminated": {"exitCode": 1, "message": "no such ConfigMap"}});
    let crashed = with_name(container(json!({"state": end})));
    let problem = diagnose(&fleet(), &[gateway(crashed)], noon()).expect("a problem");
    assert_eq!(problem.reason, Reason::CrashLooping, "a gateway loads no model");
    assert!(problem.message.contains("no such ConfigMap"), "{}", problem.message);

    let killed = json!({"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}});
    let problem = diagnose(&fleet(), &[gateway(with_name(container(killed)))], noon()).expect("a problem");
    assert!(
        problem.message.contains("128Mi") && problem.message.contains("spec.gateway"),
        "{}",
        problem.message
    );
}

#[test]
fn pods_of_a_pool_that_is_no_longer_wanted_do_not_count() {
    let waiting = container(json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}}));
    let left = labelled("narrator-old-1", json!({"ttsfleet.dev/pool": "old"}), waiting);
    assert_eq!(diagnose(&fleet(), &[left], noon()), None);
}

#[test]
fn a_server_that_serves_again_is_well() {
    let end = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    let state = json!({"running": {"startedAt": "2026-03-01T11:59:59Z"}});
    assert_eq!(found(container(json!({"state": state, "lastState": end, "ready": true}))), None);
}

#[test]
fn a_missing_image_is_told() {
    let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    let (reason, message) = found(container(json!({"state": waiting}))).expect("a problem");
    assert_eq!(reason, Reason::ImageUnavailable);
    assert!(message.contains("no such image"), "{message}");
}

/// A pod that was evicted at that minute before noon.
fn evicted(minute: u8) -> Arc<Pod> {
    let since = json!({"type": "Ready", "status": "False", "lastTransitionTime": format!("2026-03-01T11:{minute}:00Z")});
    pod(
        "gone",
        json!({"phase": "Failed", "reason": "Evicted", "message": "low on disk", "conditions": [since]}),
    )
}

fn running() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

fn serving(name: &str) -> Arc<Pod> {
    pod(name, running())
}

#[test]
fn an_eviction_is_told_until_others_serve_in_the_pods_place_and_for_ten_minutes_at_most() {
    let told = |pods: &[Arc<Pod>]| diagnose(&fleet(), pods, noon());
    let problem = told(&[evicted(55), serving("a")]).expect("a problem");
    assert_eq!(problem.reason, Reason::Evicted);
    assert!(problem.message.contains("low on disk"), "{}", problem.message);
    assert_eq!(problem.until, noon().checked_add(SignedDuration::from_mins(5)).ok());
    assert_eq!(told(&[evicted(55), serving("a"), serving("b")]), None, "two are asked for, and two serve");
    assert_eq!(told(&[evicted(50)]), None, "the cluster keeps it for much longer");
}

#[test]
fn what_was_wrong_with_a_pod_that_is_over_never_hides_what_is_wrong_now() {
    let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"});
    let waiting = pod("b", json!({"phase": "Pending", "conditions": [condition]}));
    let shut_down = container(json!({"state": {"terminated": {"exitCode": 137, "reason": "Error"}}}));
    let mut over = Pod::clone(&pod("a", shut_down));
    over.status.get_or_insert_default().phase = Some("Failed".to_owned());
    let problem = diagnose(&fleet(), &[Arc::new(over), evicted(59), waiting], noon()).expect("a problem");
    assert_eq!(problem.reason, Reason::Unschedulable);
}

#[test]
fn a_pod_that_others_serve_beside_has_five_minutes_to_find_a_node() {
    let waits = |since: &str| {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": since,
        });
        pod("b", json!({"phase": "Pending", "conditions": [condition]}))
    };
    let told = |pods: &[Arc<Pod>]| diagnose(&fleet(), pods, noon()).map(|problem| problem.reason);
    let of_late = "2026-03-01T11:55:01Z";
    assert_eq!(told(&[serving("a"), waits(of_late)]), None, "an autoscaler may be at it");
    assert_eq!(next_look(&[serving("a"), waits(of_late)], noon()), Some(Duration::from_secs(1)));
    let for_long = waits("2026-03-01T11:55:00Z");
    assert_eq!(told(&[serving("a"), for_long.clone()]), Some(Reason::Unschedulable));
    assert_eq!(next_look(&[for_long], noon()), None);
    assert_eq!(told(&[waits(of_late)]), Some(Reason::Unschedulable), "nothing serves meanwhile");
    let gateway = labelled("gateway", json!({"app.kubernetes.io/component": "gateway"}), running());
    assert_eq!(told(&[gateway, waits(of_late)]), Some(Reason::Unschedulable), "it is of another part");
}

/// A pod of the gateway that has waited for its volumes for so many seconds at
/// noon.
fn without_volumes(fleet: &Fleet, seconds: i64, words: Option<&str>) -> Option<Problem> {
    let since = (noon() - SignedDuration::from_secs(seconds)).to_string();
    let mut waiting = Pod::clone(&gateway(json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": since},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]})));
    waiting.metadata.uid = Some("waits".to_owned());
    let words = words.map(|words| ("waits".to_owned(), words.to_owned()));
    super::diagnose(fleet, &[Arc::new(waiting)], &words.into_iter().collect(), noon())
}

#[test]
fn a_pod_whose_volume_waits_for_a_secret_names_it() {
    let mut spec = TtsDeploymentSpec::default();
    let keys = ttsfleet_crds::SecretRef { name: "keys".to_owned() };
    spec.routing.tier_from.api_key_secret_ref = Some(keys);
    let with_keys = fleet_of(spec);
    let kubelet = "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found";
    for words in [Some(kubelet), None] {
        let problem = without_volumes(&with_keys, 20, words).expect("a problem");
        assert_eq!(problem.reason, Reason::VolumeUnavailable);
        assert!(problem.message.contains("Secret keys: make it"), "{}", problem.message);
        assert!(words.is_none_or(|words| problem.message.contains(words)), "{}", problem.message);
    }
    assert_eq!(without_volumes(&with_keys, 19, Some(kubelet)), None, "volumes take a moment");
    assert_eq!(without_volumes(&fleet(), 60, None), None, "nothing is guessed");
}

#[test]
fn a_pod_that_waits_for_its_volumes_is_looked_at_again() {
    let waits = |since: &str| {
        pod(
            "a",
            json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": since},
                {"type": "PodReadyToStartContainers", "status": "False"},
            ]}),
        )
    };
    let next = |pods: &[Arc<Pod>]| next_look(pods, noon());
    assert_eq!(next(&[waits("2026-03-01T11:59:55Z")]), Some(Duration::from_secs(15)));
    assert_eq!(next(&[waits("2026-03-01T11:50:00Z")]), Some(LOOK_AT_VOLUMES));
    assert_eq!(next(&[serving("a")]), None);
}

#[test]
fn the_worst_problem_comes_first_and_leaving_pods_do_not_count() {
    let unschedulable =
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
    let oom = container(json!({"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}));
    let pods = [pod("a", unschedulable), pod("b", oom.clone())];
    assert_eq!(diagnose(&fleet(), &pods, noon()).map(|problem| problem.reason), Some(Reason::OutOfMemory));

    let mut leaving = Pod::clone(&pod("b", oom));
    leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(noon()));
    assert_eq!(diagnose(&fleet(), &[Arc::new(leaving)], noon()), None);
}

#[test]
fn words_from_outside_are_kept_short_and_on_one_line() {
    let line = quote(Some(&format!("a\nb\u{1b}[31m{}", "x".repeat(1000))));
    assert!(line.chars().count() <= LONGEST_QUOTE + 1 && !line.contains(['\n', '\u{1b}']), "{line}");
}

#[test]
fn a_trials_pods_are_no_trouble_of_the_fleets_and_say_what_they_lack() {
    let spec = {
        let mut spec = TtsDeploymentSpec::default();
        spec.pools[0].resources.gpu = Gpu { mode: GpuMode::Exclusive, ..Gpu::default() };
        spec
    };
    let fleet = fleet_of(spec);
    let of_trial = |component: &str, status| {
        let labels = json!({"ttsfleet.dev/trial-of": "main", "app.kubernetes.io/component": component});
        labelled("narrator-main-trial-1", labels, status)
    };
    let no_gpu = of_trial(
        "shadow",
        json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }]}),
    );
    let words = trouble(&fleet, &no_gpu, noon()).expect("a problem");
    assert_eq!(words.kind, ProblemKind::Unschedulable);
    for way_out in ["add one", "gpu.mode: Mps", "strategy: Direct", "DrainFirst"] {
        assert!(words.message.contains(way_out), "{}", words.message);
    }
    let mut killed = container(json!({
        "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    }));
    killed["containerStatuses"][0]["name"] = json!("judge");
    let judge = of_trial("judge", killed);
    let words = trouble(&fleet, &judge, noon()).expect("a problem");
    assert_eq!(words.kind, ProblemKind::Crashed);
    assert!(words.message.contains("spec.rollout.judge.resources.memory"), "{}", words.message);
    assert_eq!(diagnose(&fleet, &[no_gpu, judge], noon()), None);
}
