//! Whatever comes in the way of a new voice, callers are spoken to, and the
//! pods end up with one model.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../load.rs"]
#[allow(dead_code, reason = "the benchmarks use the rest")]
mod load;
#[allow(dead_code, reason = "the tests of rollouts use the rest")]
mod shipping;
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use shipping::{Answer, ROLLOUT, Stage, assert_whole, digest, first_digest, voices};
use support::{alone, cluster};
use ttsfleet_e2e::cluster::PodSignal;
use ttsfleet_e2e::waiting::eventually;

const DIRECT: &str = "{strategy: Direct, swap: {soak: 3s}}";

/// A claim with every voice in it, as a folder of this machine.
fn claim_voices(stage: &Stage, name: &str) {
    let space = &stage.space.name;
    let folder = voices().variants[0].folder.parent().unwrap();
    let size = json!({"storage": "1Gi"});
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": format!("{name}-{space}")},
        "spec": {
            "capacity": size, "accessModes": ["ReadOnlyMany"], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": folder},
            "claimRef": {"namespace": space, "name": name},
        },
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "accessModes": ["ReadOnlyMany"], "storageClassName": "", "resources": {"requests": size},
            "volumeName": format!("{name}-{space}"),
        },
    });
    // One that an earlier run left belongs to that run's claim for ever.
    let left = ["delete", "persistentvolume", &format!("{name}-{space}"), "--ignore-not-found"];
    cluster().kubectl(&left).unwrap();
    cluster()
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": [volume, claim]}).to_string())
        .unwrap();
}

fn on_claim(version: &str) -> Value {
    json!({
        "name": "hibari", "version": version,
        "source": {"uri": format!("pvc://voices/{version}"), "digest": digest(version)},
    })
}

#[test]
fn a_voice_on_a_claim_rolls_the_pods_once_for_the_mount_and_the_next_one_there_restarts_none() {
    let _alone = alone();
    let stage = Stage::set("claimed", DIRECT);
    claim_voices(&stage, "voices");
    let before = stage.pods();
    let mut mounted = before.clone();
    let answers = stage.heard(|| {
        stage.ship_model(&on_claim("equal"));
        assert_eq!(stage.ending("equal")["outcome"], "Promoted");
        mounted = stage.pods();
        stage.ship_model(&on_claim("better"));
        assert_eq!(stage.ending("better")["outcome"], "Promoted");
    });
    assert_whole(&answers, &[first_digest(&answers), digest("equal"), digest("better")]);
    assert!(mounted.keys().all(|pod| !before.contains_key(pod)), "the mount is part of the template");
    assert_eq!(stage.pods(), mounted, "pods and restarts");
}

#[test]
fn pods_killed_while_they_fetch_swap_and_soak_come_back_and_end_up_with_the_new_voice() {
    let _alone = alone();
    let stage = Stage::set("killed", DIRECT);
    let versions = [("equal", "Staging"), ("fast", "Promoting"), ("better", "Soaking")];
    let answers = stage.heard(|| {
        for (version, phase) in versions {
            stage.ship(version);
            // It may be over before it is seen.
            let ended = || stage.pool()["history"][0]["model"] == format!("hibari@{version}").as_str();
            eventually(phase, ROLLOUT, || stage.phase() == phase || ended());
            let pod = stage.pod_of("inference");
            cluster().signal_pod(&stage.space.name, &pod, PodSignal::Kill).unwrap();
            assert_eq!(stage.ending(version)["outcome"], "Promoted", "{version}, a pod killed while {phase}");
        }
        stage.space.wait_ready("narrator");
    });
    // An answer that had begun in a killed pod ends as broken; no other fails.
    let (broken, whole): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.fault.is_some());
    let begun = |answer: &Answer| answer.fault.as_ref().unwrap().starts_with("200 OK");
    assert!(broken.iter().all(begun), "{broken:?}");
    let [equal, fast, better] = versions.map(|(version, _)| digest(version));
    assert_whole(&whole, &[first_digest(&whole), equal, fast, better]);
    let after = stage.heard(|| ());
    assert_whole(&after, &[better]);
}

#[test]
fn pods_without_memory_for_two_models_are_drained_one_after_the_other() {
    let _alone = alone();
    let stage = Stage::set("drained", "{strategy: Direct, swap: {soak: 3s, headroom: DrainFirst}}");
    let pods = stage.pods();
    let answers = stage.heard(|| {
        for version in ["fast", "equal"] {
            stage.ship(version);
            assert_eq!(stage.ending(version)["outcome"], "Promoted");
        }
    });
    assert_whole(&answers, &[first_digest(&answers), digest("fast"), digest("equal")]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}

#[test]
fn a_voice_that_does_not_fit_on_the_pods_disk_is_refused_and_nobody_is_evicted() {
    let _alone = alone();
    // Half of it is for logs; the rest is less than the voice has.
    let stage = Stage::with("full", DIRECT, "memory: 512Mi, cpu: 400m, ephemeralStorage: 128Mi");
    let pods = stage.pods();
    let answers = stage.heard(|| {
        stage.ship("large");
        let ending = stage.ending("large");
        assert_eq!(ending["outcome"], "Rejected", "{ending}");
        let message = ending["message"].as_str().unwrap();
        assert!(message.starts_with("load:") && message.contains("has no room for the model"), "{message}");
    });
    assert_whole(&answers, &[first_digest(&answers)]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}

#[test]
fn without_a_spare_gpu_the_rollout_says_what_works_and_that_works() {
    let _alone = alone();
    let gpus = "memory: 512Mi, cpu: 400m, gpu: {mode: Exclusive}";
    let stage = Stage::with("exclusive", "{swap: {soak: 3s, headroom: DrainFirst}}", gpus);
    let pods = stage.pods();
    let answers = stage.heard(|| {
        stage.ship("equal");
        let said = || stage.pool()["rollout"]["message"].as_str().unwrap_or_default().to_owned();
        eventually("the rollout says what it waits for", Duration::from_secs(60), || {
            said().contains("nvidia.com/gpu") && said().contains("rollout.strategy: Direct")
        });
        println!("{}", said());
        let condition = stage.space.condition("narrator", "QualityGate");
        assert_eq!(condition["reason"], "ShadowUnschedulable", "{condition}");
        stage.patch(&json!([{"op": "add", "path": "/spec/rollout/strategy", "value": "Direct"}]));
        assert_eq!(stage.ending("equal")["outcome"], "Promoted");
    });
    assert_whole(&answers, &[first_digest(&answers), digest("equal")]);
    assert_eq!(stage.pods(), pods, "pods and restarts");
}
