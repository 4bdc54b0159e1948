//! Who has written which fields of a child, as the API server records it.
//!
//! Server-side apply puts back what we set, but leaves what others add: a
//! second container, say. Whoever added it is in `managedFields`. To have the
//! next apply remove it, the field is first recorded as ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value};

use crate::FIELD_MANAGER;

/// Others may write these without it being drift: labels and annotations, the
/// status, and a ServiceAccount's secrets for pulling images.
const FREE: [&str; 4] = ["f:metadata", "f:status", "f:secrets", "f:imagePullSecrets"];

/// `kubectl rollout restart` writes only this, and it is fine that it does.
const RESTART: [&str; 5] =
    ["f:spec", "f:template", "f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt"];

/// Cuts the record down to the names of those who wrote what is not theirs,
/// which is all that a cache needs of it.
pub fn keep_intruders(meta: &mut ObjectMeta) {
    let entries = meta.managed_fields.take().unwrap_or_default();
    let intruders: Vec<ManagedFieldsEntry> = entries
        .into_iter()
        .filter(|entry| contested(entry).is_some())
        .map(|entry| ManagedFieldsEntry {
            manager: entry.manager,
            operation: entry.operation,
            fields_v1: Some(FieldsV1(Value::Object(
                [("f:spec".to_owned(), Value::Bool(true))].into_iter().collect(),
            ))),
            ..ManagedFieldsEntry::default()
        })
        .collect();
    meta.managed_fields = Some(intruders).filter(|intruders| !intruders.is_empty());
}

/// Somebody who wrote what is not theirs.
pub fn intruder(meta: &ObjectMeta) -> Option<&str> {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let entry = entries.iter().find(|entry| contested(entry).is_some())?;
    Some(entry.manager.as_deref().unwrap_or("unknown"))
}

/// The record with everything that is not theirs moved from others to us.
pub fn taken_over(entries: &[ManagedFieldsEntry]) -> Vec<ManagedFieldsEntry> {
    let mut ours = Value::Object(Map::new());
    let mut our_entry = None;
    let mut result = Vec::new();
    for entry in entries {
        if is_ours(entry) {
            merge(&mut ours, fields(entry));
            our_entry = Some(entry.clone());
        } else if let Some(taken) = contested(entry) {
            merge(&mut ours, &taken);
            result.extend(without_contested(entry));
        } else {
            result.push(entry.clone());
        }
    }
    let template = our_entry.or_else(|| entries.first().cloned()).unwrap_or_default();
    result.push(ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(ours)),
        subresource: None,
        ..template
    });
    result
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.as_deref().unwrap_or_default().is_empty()
}

/// The fields of an entry that are ours to write.
fn contested(entry: &ManagedFieldsEntry) -> Option<Value> {
    if is_ours(entry) || entry.subresource.as_deref() == Some("status") {
        return None;
    }
    let mut set = fields(entry).clone();
    let map = set.as_object_mut()?;
    map.retain(|key, _| !FREE.contains(&key.as_str()));
    remove(map, &RESTART);
    (!map.is_empty()).then_some(set)
}

/// What remains of an entry when the contested fields are taken from it.
fn without_contested(entry: &ManagedFieldsEntry) -> Option<ManagedFieldsEntry> {
    let mut set = fields(entry).clone();
    let map = set.as_object_mut()?;
    map.retain(|key, _| FREE.contains(&key.as_str()));
    let rest = ManagedFieldsEntry { fields_v1: Some(FieldsV1(set.clone())), ..entry.clone() };
    (!set.as_object()?.is_empty()).then_some(rest)
}

fn fields(entry: &ManagedFieldsEntry) -> &Value {
    static NONE: Value = Value::Null;
    entry.fields_v1.as_ref().map_or(&NONE, |fields| &fields.0)
}

/// Removes the leaf at `path`, and the branches that it leaves empty.
fn remove(map: &mut Map<String, Value>, path: &[&str]) {
    let [key, rest @ ..] = path else { return };
    let Some(value) = map.get_mut(*key) else { return };
    if let Some(inner) = value.as_object_mut() {
        remove(inner, rest);
        // "." records the branch itself.
        let bare = inner.keys().all(|key| key == ".");
        if rest.is_empty() || bare {
            map.remove(*key);
        }
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (into, from @ Value::Object(_)) => *into = from.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: Some(subresource.to_owned()).filter(|name| !name.is_empty()),
            fields_v1: Some(FieldsV1(fields)),
            api_version: Some("apps/v1".to_owned()),
            ..ManagedFieldsEntry::default()
        }
    }

    fn meta(entries: Vec<ManagedFieldsEntry>) -> ObjectMeta {
        ObjectMeta { managed_fields: Some(entries), ..ObjectMeta::default() }
    }

    #[rstest]
    #[case::ourselves(entry(FIELD_MANAGER, "Apply", "", json!({"f:spec": {"f:replicas": {}}})), None)]
    #[case::our_name_used_for_an_edit(
        entry(FIELD_MANAGER, "Update", "", json!({"f:spec": {"f:replicas": {}}})), Some(FIELD_MANAGER)
    )]
    #[case::an_edit(entry("kubectl-edit", "Update", "", json!({"f:spec": {"f:paused": {}}})), Some("kubectl-edit"))]
    #[case::scaling(entry("kubectl", "Update", "scale", json!({"f:spec": {"f:replicas": {}}})), Some("kubectl"))]
    #[case::the_status(entry("kcm", "Update", "status", json!({"f:status": {}, "f:metadata": {}})), None)]
    #[case::a_label(entry("kubectl-label", "Update", "", json!({"f:metadata": {"f:labels": {"f:a": {}}}})), None)]
    #[case::pull_secrets(entry("kubectl", "Update", "", json!({"f:imagePullSecrets": {}})), None)]
    #[case::a_restart(
        entry("kubectl-rollout", "Update", "", json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {
            ".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}}})),
        None
    )]
    fn only_writers_of_our_fields_are_intruders(
        #[case] entry: ManagedFieldsEntry,
        #[case] expected: Option<&str>,
    ) {
        let mut meta = meta(vec![entry]);
        assert_eq!(intruder(&meta), expected);
        keep_intruders(&mut meta);
        assert_eq!(intruder(&meta), expected, "also after being cut down");
    }

    #[test]
    fn what_is_taken_over_is_ours_and_the_rest_stays_with_its_writer() {
        let entries = [
            entry(FIELD_MANAGER, "Apply", "", json!({"f:spec": {"f:replicas": {}}})),
            entry(
                "edit",
                "Update",
                "",
                json!({"f:spec": {"f:paused": {}}, "f:metadata": {"f:labels": {"f:a": {}}}}),
            ),
            entry("kcm", "Update", "status", json!({"f:status": {}})),
        ];
        let after = taken_over(&entries);
        let summary: Vec<_> =
            after.iter().map(|e| (e.manager.as_deref().unwrap_or_default(), fields(e))).collect();
        assert_eq!(
            summary,
            [
                ("edit", &json!({"f:metadata": {"f:labels": {"f:a": {}}}})),
                ("kcm", &json!({"f:status": {}})),
                (FIELD_MANAGER, &json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})),
            ]
        );
        assert_eq!(intruder(&meta(after)), None);
    }
}
