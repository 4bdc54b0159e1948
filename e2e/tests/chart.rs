//! The chart: its manifests are clean, and it installs, upgrades and leaves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Namespace, cluster, images};
use ttsfleet_e2e::product::{NAMESPACE, RELEASE, chart, install};
use ttsfleet_e2e::progress::Console;
use ttsfleet_e2e::tools::ensure_checkers;
use ttsfleet_e2e::waiting::eventually;

/// Held by tests that change the one release.
static CHANGING_THE_RELEASE: Mutex<()> = Mutex::new(());

fn rendered(extra: &[&str]) -> String {
    let chart = chart();
    let mut line = vec!["template", RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE];
    line.extend(extra);
    cluster().helm(&line).unwrap()
}

fn check(program: &Path, arguments: &[&str], input: &str) {
    let file = std::env::temp_dir().join(format!("ttsfleet-rendered-{}.yaml", std::process::id()));
    std::fs::write(&file, input).unwrap();
    let output = Command::new(program).args(arguments).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// kubeconform's schemas, taken from the API server that runs here: one file a
/// kind, and the definitions they share.
fn write_schemas(folder: &Path) {
    let mut api: Value =
        serde_json::from_str(&cluster().kubectl(&["get", "--raw", "/openapi/v2"]).unwrap()).unwrap();
    // The format of these schemas has no word for "either".
    api["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] =
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}]});
    let text = json!({"definitions": api["definitions"]}).to_string();
    let shared = text.replace("\"#/definitions/", "\"_definitions.json#/definitions/");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("_definitions.json"), shared).unwrap();
    for (name, definition) in api["definitions"].as_object().unwrap() {
        for kind in definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let part = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
            let group = part("group");
            let group = group.split('.').next().unwrap();
            let stem = [part("kind"), group.to_owned(), part("version")];
            let stem: Vec<_> = stem.into_iter().filter(|piece| !piece.is_empty()).collect();
            let schema = json!({"$ref": format!("_definitions.json#/definitions/{name}")});
            std::fs::write(folder.join(format!("{}.json", stem.join("-"))), schema.to_string()).unwrap();
        }
    }
}

#[test]
fn rendered_manifests_pass_helm_lint_kubeconform_and_kube_score() {
    let tools = ensure_checkers(&Console::default()).unwrap();
    cluster().helm(&["lint", "--strict", chart().to_str().unwrap()]).unwrap();
    let schemas = std::env::temp_dir().join(format!("ttsfleet-schemas-{}", std::process::id()));
    write_schemas(&schemas);
    let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display());
    let with_namespace = rendered(&["--set", "operator.watchNamespace=voices"]);
    for manifests in [rendered(&[]), with_namespace] {
        check(&tools.path("kubeconform"), &["-schema-location", &location, "-summary"], &manifests);
        check(&tools.path("kube-score"), &["score"], &manifests);
    }
    std::fs::remove_dir_all(schemas).unwrap();
}

#[test]
fn values_with_a_typing_mistake_are_refused() {
    let chart = chart();
    let line = ["template", RELEASE, chart.to_str().unwrap(), "--set", "operator.replica=1"];
    let refusal = cluster().helm(&line).unwrap_err().to_string();
    assert!(refusal.contains("replica"), "{refusal}");
}

#[test]
fn an_uninstalled_chart_leaves_fleets_serving_and_a_new_install_takes_them_over() {
    let _alone = CHANGING_THE_RELEASE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let space = Namespace::fresh("orphaned");
    space.fleet("stays", "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}}]}");
    space.wait_ready("stays");
    let pod = || {
        space.get(&["pods", "-l", "app.kubernetes.io/instance=stays,ttsfleet.dev/pool=main"])["items"][0]
            .clone()
    };
    let before = pod();

    cluster().helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"]).unwrap();
    eventually("the operator is gone", Duration::from_secs(60), || {
        let line = ["get", "pods", "-n", NAMESPACE, "-o", "name"];
        cluster().kubectl(&line).unwrap().trim().is_empty()
    });
    let after = pod();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["status"]["containerStatuses"][0]["ready"], true);
    assert!(!space.get(&["ttsd", "stays"]).is_null());

    install(cluster(), images()).unwrap();
    space.kubectl(&["delete", "service", "stays"]).unwrap();
    eventually("the new operator looks after the old fleet", Duration::from_secs(60), || {
        !space.get(&["service", "stays"]).is_null()
    });
    assert_eq!(pod()["metadata"]["uid"], before["metadata"]["uid"]);
}

#[test]
fn an_upgrade_changes_the_operator_and_not_the_fleets_pods() {
    let _alone = CHANGING_THE_RELEASE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let space = Namespace::fresh("upgraded");
    space.fleet("stays", "{replicas: 1, pools: [{name: main, resources: {memory: 512Mi, cpu: 300m}}]}");
    space.wait_ready("stays");
    let pod = ["pods", "-l", "ttsfleet.dev/pool=main"];
    let uid = || space.get(&pod)["items"][0]["metadata"]["uid"].clone();
    let before = uid();
    let chart = chart();
    let line =
        ["upgrade", RELEASE, chart.to_str().unwrap(), "--namespace", NAMESPACE, "--wait", "--timeout", "2m"];
    let upgrade = |memory: &str| {
        let value = format!("operator.resources.memory={memory}");
        cluster().helm(&[&line[..], &["--reuse-values", "--set", &value]].concat()).unwrap();
    };
    upgrade("160Mi");
    let line = ["get", "deployment", "-n", NAMESPACE, "-o", "json"];
    let operator: Value = serde_json::from_str(&cluster().kubectl(&line).unwrap()).unwrap();
    let memory =
        &operator["items"][0]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"];
    assert_eq!(memory, "160Mi");
    assert_eq!(uid(), before);
    upgrade("128Mi");
}
