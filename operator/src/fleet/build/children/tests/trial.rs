//! What is there while a model is tried.

use super::*;

#[test]
fn a_change_of_model_leaves_the_pods_template_as_it_is() {
    let plain = template("narrator-main", |_| {});
    assert_eq!(plain, template("narrator-main", |spec| spec.replicas = 7));
    assert_eq!(plain, template("narrator-main", with_source("https://models.example/hibari")));
    let tried = planned(|_| {}, comparing);
    let pods = child(&tried, "Deployment", "narrator-main")["spec"]["template"].clone();
    assert_eq!(plain, pods);
}

#[test]
fn what_is_there_while_a_model_is_tried_is_as_reviewed() {
    let (before, wanted) = (wanted(|_| {}), planned(|_| {}, comparing));
    let known = |child: &&Child| before.all().any(|old| old.identity() == child.identity());
    let (changed, added): (Vec<_>, Vec<_>) = wanted.all().partition(known);
    for child in added {
        let (kind, name) = child.identity();
        insta::assert_yaml_snapshot!(format!("{kind}_{name}"), child);
    }
    let changed = changed.into_iter().filter(|child| !before.all().any(|old| old == *child));
    let names: Vec<_> = changed.map(|child| child.identity()).collect();
    let [policy, routes] = [("NetworkPolicy", "narrator"), ("ConfigMap", "narrator-gateway")];
    assert_eq!(names, [(policy.0, policy.1.to_owned()), (routes.0, routes.1.to_owned())]);
    let text = child(&wanted, "ConfigMap", "narrator-gateway")["data"][ROUTE_KEY].clone();
    let table: RouteTable = serde_json::from_str(text.as_str().expect("text")).expect("a route table");
    insta::assert_json_snapshot!("mirrors", table.mirrors);
}

/// Or callers would hear a model that is only tried, or pods would be adopted.
#[test]
fn the_pools_own_objects_do_not_take_a_trials_pods_for_theirs() {
    let wanted = planned(|_| {}, comparing);
    for pod in ["narrator-main-shadow", "narrator-main-baseline", "narrator-main-judge"] {
        let template = child(&wanted, "Deployment", pod)["spec"]["template"].clone();
        let labels = template["metadata"]["labels"].as_object().expect("labels").clone();
        for child in wanted.all() {
            let (kind, name) = child.identity();
            let object = serde_json::to_value(child).expect("JSON");
            let selector = match kind {
                "Service" => &object["spec"]["selector"],
                "Deployment" | "PodDisruptionBudget" => &object["spec"]["selector"]["matchLabels"],
                _ => continue,
            };
            let found = selector
                .as_object()
                .expect("a selector")
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value));
            assert_eq!(found, name == pod, "{kind} {name} and the pods of {pod}");
        }
    }
}

#[test]
fn a_shadow_on_whole_gpus_makes_room_before_it_comes_again() {
    let change = with_gpu(Gpu { mode: GpuMode::Exclusive, ..Gpu::default() });
    let wanted = planned(change, |plan| {
        comparing(plan);
        plan.wants.baseline = None;
    });
    let shadow = child(&wanted, "Deployment", "narrator-main-shadow")["spec"].clone();
    assert_eq!(shadow["strategy"], json!({"type": "Recreate"}));
    let limits = &shadow["template"]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits["nvidia.com/gpu"], "1");
    let session = child(&wanted, "ConfigMap", "narrator-main-judge")["data"]["session.json"].clone();
    let session: Session = serde_json::from_str(session.as_str().expect("text")).expect("a session");
    assert_eq!(session.baseline_url, "http://narrator-main:8080", "no second GPU is asked for");
}

/// Or the times of their answers would tell of something else than the models.
#[test]
fn the_two_models_are_compared_in_pods_that_differ_in_nothing_else() {
    for change in [
        |_: &mut TtsDeploymentSpec| {},
        |spec: &mut TtsDeploymentSpec| {
            let memory_limit = Some("8Gi".into());
            spec.pools[0].resources.gpu = Gpu { mode: GpuMode::Mps, memory_limit, ..Gpu::default() };
        },
    ] {
        let wanted = planned(change, comparing);
        let deployment = |part: &str| {
            let pods = child(&wanted, "Deployment", &format!("narrator-main-{part}"));
            pods["spec"].to_string().replace(part, "part")
        };
        let [shadow, baseline] = ["shadow", "baseline"].map(deployment);
        let [near_baseline, near_shadow] =
            [shadow.replace("baseline", "other"), baseline.replace("shadow", "other")];
        assert_eq!(near_baseline, near_shadow);
        assert!(near_shadow.contains("podAffinity"), "{near_shadow}");
    }
    let wanted = planned(with_source("https://models.example/hibari"), comparing);
    let data = |part: &str| {
        child(&wanted, "ConfigMap", &format!("narrator-main{part}"))["data"]["model.json"].clone()
    };
    assert_eq!(data("-baseline"), data(""), "what the pods serve");
    assert_ne!(data("-shadow"), data(""));
}

#[test]
fn the_judge_is_told_what_to_compare_and_waits_for_prompts_that_are_not_there() {
    let session = |prompts: Prompts| {
        let wanted = planned(
            |spec| spec.rollout.shadow.min_samples = 30,
            |plan| {
                comparing(plan);
                plan.prompts = prompts.clone();
            },
        );
        let mut all = wanted.all();
        let found = all.find(|child| child.identity() == ("ConfigMap", "narrator-main-judge".to_owned()))?;
        let object = serde_json::to_value(found).expect("JSON");
        let text = object["data"]["session.json"].as_str().expect("text").to_owned();
        Some(serde_json::from_str::<Session>(&text).expect("a session"))
    };
    let given = session(Prompts::Given(vec!["Hello.".to_owned()])).expect("a judge");
    assert_eq!(given.prompts, Some(vec!["Hello.".to_owned()]));
    assert_eq!((given.min_samples, given.confidence_percent), (30, 95));
    assert_eq!(given.baseline_url, "http://narrator-main-baseline:8080");
    assert_eq!(given.candidate_url, "http://narrator-main-shadow:8080");
    assert_eq!(session(Prompts::Missing(String::new())), None);
}

#[test]
fn whisper_gets_the_volume_of_its_model_and_the_memory_asked_for() {
    let wanted = planned(
        |spec| {
            let judge = &mut spec.rollout.judge;
            judge.recogniser.kind = ttsfleet_crds::RecogniserKind::Whisper;
            judge.recogniser.source =
                Some(Source { uri: "pvc://ears/whisper".to_owned(), digest: None, secret_ref: None });
            judge.resources.memory = "4Gi".into();
        },
        comparing,
    );
    let pod = child(&wanted, "Deployment", "narrator-main-judge")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["containers"][0]["resources"]["limits"]["memory"], "4Gi");
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"]["claimName"], "ears");
}

#[test]
fn a_new_secret_or_claim_changes_the_template_and_going_without_it_does_not() {
    let with = |uri: &'static str, secret: Option<&'static str>, live: Option<Value>| {
        let wanted = planned(
            |_| {},
            |plan| {
                plan.wants.shadow = Some(candidate(uri, secret));
                let live = live.clone().map(|live| serde_json::from_value(live).expect("a Deployment"));
                plan.live = live.map(std::sync::Arc::new);
            },
        );
        child(&wanted, "Deployment", "narrator-main")
    };
    let plain = with("file:///models/hibari", None, None);
    let secret = with("s3://models/hibari", Some("store.eu"), None);
    assert_ne!(plain["spec"]["template"], secret["spec"]["template"]);
    let pod = &secret["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][2]["secret"], json!({"secretName": "store.eu", "optional": true}));
    let mount = &pod["containers"][0]["volumeMounts"][2];
    assert_eq!(mount["mountPath"], "/etc/ttsfleet-secrets/store.eu");
    assert_eq!(variable(pod, "TTSFLEET_SECRETS"), Some(json!("/etc/ttsfleet-secrets")));
    let claim = with("pvc://voices/hibari", None, None);
    let pod = &claim["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["volumeMounts"][2]["mountPath"], "/var/lib/ttsfleet-claims/voices");

    let later = with("file:///models/hibari", None, Some(secret.clone()));
    assert_eq!(later["spec"]["template"], secret["spec"]["template"], "no restart to take something away");
    let mut other = secret;
    other["spec"]["template"]["metadata"]["labels"]["ttsfleet.dev/template"] = json!("of another image");
    let replaced = with("file:///models/hibari", None, Some(other));
    assert_eq!(replaced["spec"]["template"], plain["spec"]["template"], "pods are replaced anyway");
}
