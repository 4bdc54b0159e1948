//! The chart grants the operator what it uses, and no more than that.

use std::collections::BTreeMap;

use serde_json::Value;

const TEMPLATE: &str = include_str!("../../helm/templates/rbac.yaml");

/// The verbs for what fleets consist of and are looked at by, by group and
/// resource.
fn granted() -> BTreeMap<(String, String), Vec<String>> {
    let (_, rest) = TEMPLATE.split_once("{{- define \"ttsfleet.fleetRules\" }}").expect("the rules");
    let (rules, _) = rest.split_once("{{- end }}").expect("their end");
    let rules: Vec<Value> = serde_yaml::from_str(rules).expect("YAML");
    let words = |rule: &Value, key: &str| -> Vec<String> {
        serde_json::from_value(rule[key].clone()).expect("a list of words")
    };
    let mut granted: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for rule in &rules {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                granted.entry((group.clone(), resource)).or_default().extend(words(rule, "verbs"));
            }
        }
    }
    granted
}

#[test]
fn what_is_only_looked_at_may_only_be_looked_at() {
    let granted = granted();
    for (group, resource, verbs) in [
        ("apps", "replicasets", &["list", "watch"] as &[&str]),
        ("discovery.k8s.io", "endpointslices", &["get", "list", "watch"]),
        ("", "events", &["list"]),
        ("", "pods", &["list", "watch", "delete"]),
    ] {
        let found = granted.get(&(group.to_owned(), resource.to_owned()));
        assert_eq!(
            found.map(Vec::as_slice),
            Some(verbs.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice())
        );
    }
}

#[test]
fn no_secret_of_a_fleets_namespace_may_be_read() {
    let resources: Vec<_> = granted().into_keys().map(|(_, resource)| resource).collect();
    assert!(
        !resources.iter().any(|resource| resource.starts_with("secrets") || resource == "*"),
        "{resources:?}"
    );
}
