//! Does a live object hold what is wanted of it?
//!
//! The API server fills in defaults, so live objects are larger than wanted
//! ones. Only what is wanted is compared, and what lists hold beside it; what
//! else others add is the concern of [`super::ownership`].

use serde::Serialize;
use serde_json::Value;

/// Lists whose elements the API server tells apart by this field, and may keep
/// in another order. All others are compared element by element.
const KEYS: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("volumeMounts", "mountPath"),
    ("ports", "name"),
    ("imagePullSecrets", "name"),
    ("secrets", "name"),
    ("ownerReferences", "uid"),
];

/// Something that is not as wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Where.
    pub path: String,
    /// What is there; null if nothing is.
    pub live: Value,
    /// It is an element that nobody wanted.
    pub is_added: bool,
}

/// All that is not as wanted.
pub fn differences(wanted: &Value, live: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(wanted, live, "", None, &mut found);
    found
}

/// `key` tells the elements apart, should this be a list.
fn compare(wanted: &Value, live: &Value, path: &str, key: Option<&str>, found: &mut Vec<Difference>) {
    match (wanted, live) {
        // The API server drops what is empty.
        (wanted, Value::Null) if is_empty(wanted) => {}
        (Value::Object(wanted), Value::Object(live)) => {
            for (name, value) in wanted {
                let key = KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(value, live.get(name).unwrap_or(&Value::Null), &path, key, found);
            }
        }
        (Value::Array(wanted), Value::Array(live)) => compare_lists(wanted, live, path, key, found),
        (wanted, live) if wanted == live => {}
        (_, live) => found.push(Difference { path: path.to_owned(), live: live.clone(), is_added: false }),
    }
}

fn compare_lists(
    wanted: &[Value],
    live: &[Value],
    path: &str,
    key: Option<&str>,
    found: &mut Vec<Difference>,
) {
    let name = |element: &Value| element.get(key?)?.as_str().map(str::to_owned);
    let mut met = vec![false; live.len()];
    for (index, wanted) in wanted.iter().enumerate() {
        let own = name(wanted);
        let place = match &own {
            Some(_) => (0..live.len()).find(|place| !met[*place] && name(&live[*place]) == own),
            None => Some(index).filter(|index| *index < live.len()),
        };
        let path = format!("{path}[{}]", own.unwrap_or_else(|| index.to_string()));
        match place {
            Some(place) => {
                met[place] = true;
                compare(wanted, &live[place], &path, None, found);
            }
            None => found.push(Difference { path, live: Value::Null, is_added: false }),
        }
    }
    for (index, element) in live.iter().enumerate().filter(|(index, _)| !met[*index]) {
        let path = format!("{path}[{}]", name(element).unwrap_or_else(|| index.to_string()));
        found.push(Difference { path, live: element.clone(), is_added: true });
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::defaults_of_the_server(json!({"a": 1}), json!({"a": 1, "b": 2}), None)]
    #[case::dropped_empty_values(json!({"a": {}, "b": [], "c": {"d": {}}, "e": ""}), json!({}), None)]
    #[case::changed_value(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), Some("a.b"))]
    #[case::missing_value(json!({"a": {"b": 1}}), json!({"a": {}}), Some("a.b"))]
    #[case::added_element(json!({"a": [1]}), json!({"a": [1, 2]}), Some("a[1]"))]
    #[case::removed_element(json!({"a": [1, {}]}), json!({"a": [1]}), Some("a[1]"))]
    #[case::renamed_element(json!({"env": [{"name": "x"}]}), json!({"env": [{"name": "y"}]}), Some("env[x] env[y]"))]
    #[case::other_order(
        json!({"env": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]}),
        json!({"env": [{"name": "y", "v": 2}, {"name": "x", "v": 1}]}),
        None
    )]
    #[case::one_volume_mounted_twice_in_other_order(
        json!({"volumeMounts": [{"name": "x", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}]}),
        json!({"volumeMounts": [{"name": "x", "mountPath": "/b"}, {"name": "x", "mountPath": "/a"}]}),
        None
    )]
    #[case::two_listeners_of_one_gateway(
        json!({"parentRefs": [{"name": "edge", "sectionName": "http"}, {"name": "edge", "sectionName": "https"}]}),
        json!({"parentRefs": [{"name": "edge", "sectionName": "http"}, {"name": "edge", "sectionName": "https"}]}),
        None
    )]
    #[case::one_name_twice(
        json!({"env": [{"name": "x", "v": 1}, {"name": "x", "v": 2}]}),
        json!({"env": [{"name": "x", "v": 1}, {"name": "x", "v": 2}]}),
        None
    )]
    #[case::unnamed_in_other_order(json!({"a": [1, 2]}), json!({"a": [2, 1]}), Some("a[0] a[1]"))]
    fn differences_are_found(#[case] wanted: Value, #[case] live: Value, #[case] expected: Option<&str>) {
        assert_eq!(paths(&wanted, &live).as_deref(), expected);
    }

    #[test]
    fn what_is_added_is_told_from_what_is_changed() {
        let found = differences(
            &json!({"env": [{"name": "x", "value": "1"}]}),
            &json!({"env": [{"name": "new"}, {"name": "x", "value": "2"}]}),
        );
        let told: Vec<_> =
            found.iter().map(|found| (found.path.as_str(), &found.live, found.is_added)).collect();
        assert_eq!(told, [("env[x].value", &json!("2"), false), ("env[new]", &json!({"name": "new"}), true)]);
    }

    /// All paths, if there are any.
    fn paths(wanted: &Value, live: &Value) -> Option<String> {
        let paths: Vec<String> = differences(wanted, live).into_iter().map(|found| found.path).collect();
        (!paths.is_empty()).then(|| paths.join(" "))
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-e]|name|env|parentRefs", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// `value` with further keys in every object, as the server adds defaults.
    fn with_defaults(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut map: serde_json::Map<_, _> =
                    map.iter().map(|(key, value)| (key.clone(), with_defaults(value))).collect();
                map.insert("defaulted".to_owned(), json!("x"));
                Value::Object(map)
            }
            Value::Array(list) => list.iter().map(with_defaults).collect(),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn an_object_satisfies_itself_also_with_defaults(value in any_value()) {
            prop_assert_eq!(paths(&value, &value), None);
            prop_assert_eq!(paths(&value, &with_defaults(&value)), None);
        }

        #[test]
        fn a_changed_leaf_is_always_seen(value in any_value(), leaf in "[a-z]{1,3}") {
            let wanted = json!({"spec": value, "leaf": leaf});
            let live = json!({"spec": value, "leaf": format!("{leaf}x")});
            prop_assert_eq!(paths(&wanted, &live), Some("leaf".to_owned()));
        }
    }
}
