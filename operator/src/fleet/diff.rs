//! Does a live object hold what is wanted of it?
//!
//! The API server fills in defaults, so live objects are larger than wanted
//! ones. Only what is wanted is compared; what others add is the concern of
//! [`super::ownership`].

use serde_json::Value;

/// Path of the first wanted value that the live object lacks; none if it has
/// them all.
pub fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    difference(wanted, live).map(|path| path.trim_start_matches('.').to_owned())
}

fn difference(wanted: &Value, live: &Value) -> Option<String> {
    match (wanted, live) {
        // The API server drops what is empty.
        (wanted, Value::Null) if is_empty(wanted) => None,
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().find_map(|(key, value)| {
            let rest = difference(value, live.get(key).unwrap_or(&Value::Null))?;
            Some(format!(".{key}{rest}"))
        }),
        (Value::Array(wanted), Value::Array(live)) => list_difference(wanted, live),
        (wanted, live) if wanted == live => None,
        _ => Some(String::new()),
    }
}

/// Lists of named things are compared by name, since the API server may keep
/// them in another order; all others element by element.
fn list_difference(wanted: &[Value], live: &[Value]) -> Option<String> {
    if wanted.len() != live.len() {
        return Some(String::new());
    }
    wanted.iter().zip(live).enumerate().find_map(|(index, (wanted, in_place))| {
        let other = match name(wanted) {
            Some(wanted) => live.iter().find(|element| name(element) == Some(wanted)).unwrap_or(&Value::Null),
            None => in_place,
        };
        let rest = difference(wanted, other)?;
        Some(format!("[{}]{rest}", name(wanted).map_or_else(|| index.to_string(), str::to_owned)))
    })
}

fn name(element: &Value) -> Option<&str> {
    element.get("name").and_then(Value::as_str)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
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
    #[case::dropped_empty_values(json!({"a": {}, "b": [], "c": {"d": {}}}), json!({}), None)]
    #[case::changed_value(json!({"a": {"b": 1}}), json!({"a": {"b": 2}}), Some("a.b"))]
    #[case::missing_value(json!({"a": {"b": 1}}), json!({"a": {}}), Some("a.b"))]
    #[case::added_element(json!({"a": [1]}), json!({"a": [1, 2]}), Some("a"))]
    #[case::renamed_element(json!({"a": [{"name": "x"}]}), json!({"a": [{"name": "y"}]}), Some("a[x]"))]
    #[case::other_order(
        json!({"a": [{"name": "x", "v": 1}, {"name": "y", "v": 2}]}),
        json!({"a": [{"name": "y", "v": 2}, {"name": "x", "v": 1}]}),
        None
    )]
    #[case::unnamed_in_other_order(json!({"a": [1, 2]}), json!({"a": [2, 1]}), Some("a[0]"))]
    fn differences_are_found(#[case] wanted: Value, #[case] live: Value, #[case] expected: Option<&str>) {
        assert_eq!(first_difference(&wanted, &live).as_deref(), expected);
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
                prop::collection::btree_map("[a-e]", inner, 0..4)
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
            prop_assert_eq!(first_difference(&value, &value), None);
            prop_assert_eq!(first_difference(&value, &with_defaults(&value)), None);
        }

        #[test]
        fn a_changed_leaf_is_always_seen(value in any_value(), leaf in "[a-z]{1,3}") {
            let wanted = json!({"spec": value, "leaf": leaf});
            let live = json!({"spec": value, "leaf": format!("{leaf}x")});
            prop_assert_eq!(first_difference(&wanted, &live), Some("leaf".to_owned()));
        }
    }
}
