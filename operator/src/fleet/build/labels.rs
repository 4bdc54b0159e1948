//! Names and labels.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use ttsfleet_crds::labels::NAME;
pub use ttsfleet_crds::labels::{
    BASELINE, COMPONENT, GATEWAY, INFERENCE, INSTANCE, JUDGE, POOL, SHADOW, TRIAL_OF,
};

/// Label of pods that share their GPU, with the way they do.
pub const GPU_SHARING: &str = "ttsfleet.dev/gpu-sharing";
/// Label of the pods of a trial, which tells one trial from the next.
pub const TRIAL: &str = "ttsfleet.dev/trial";
/// Label of a pool's pods with a digest of the template that they were made
/// from.
pub const TEMPLATE: &str = "ttsfleet.dev/template";
/// Selects the objects of all fleets, and only them.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=ttsfleet-operator,app.kubernetes.io/name=ttsfleet";

/// Selects whatever the fleets' own selectors could find, theirs or not.
pub const OF_ANY_FLEET: &str = "app.kubernetes.io/name=ttsfleet,app.kubernetes.io/instance";
/// Annotation of the gateway's pods with the uid of the ServiceAccount that they
/// were replaced for.
pub const ACCOUNT: &str = "ttsfleet.dev/account";

/// What the operator's own pods are called, as the chart labels them.
pub const OPERATOR: (&str, &str) = ("app.kubernetes.io/name", "ttsfleet-operator");

/// Longest name of a Service.
const LONGEST_NAME: usize = 63;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Labels of every object of a fleet.
pub fn fleet(fleet: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (MANAGED_BY, crate::FIELD_MANAGER)])
}

/// Labels of every object of a part of a fleet.
pub fn component(fleet: &str, component: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (COMPONENT, component), (MANAGED_BY, crate::FIELD_MANAGER)])
}

/// Labels of every object of a pool, and of its pods.
pub fn pool(fleet: &str, pool: &str) -> BTreeMap<String, String> {
    let mut labels = component(fleet, INFERENCE);
    labels.insert(POOL.to_owned(), pool.to_owned());
    labels
}

/// Labels that find the pods of all pools, and what the pools' Services know
/// of them.
pub fn pods_selector(fleet: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (COMPONENT, INFERENCE)])
}

/// Labels that find all pods of a fleet.
pub(super) fn any_pods_selector(fleet: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet)])
}

/// Labels that find a pool's pods. Never change them: a Deployment's selector
/// is immutable.
pub fn pool_selector(fleet: &str, pool: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (POOL, pool)])
}

/// Labels that find the gateway's pods; as immutable as a pool's.
pub fn gateway_selector(fleet: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (COMPONENT, GATEWAY)])
}

/// Name of a pool's objects.
pub fn pool_object(fleet: &str, pool: &str) -> String {
    format!("{fleet}-{pool}")
}

/// Name of the gateway's objects. No pool is called so.
pub fn gateway_object(fleet: &str) -> String {
    format!("{fleet}-gateway")
}

/// Labels of every object of a part of a pool's trial: shadow, baseline or judge.
pub fn trial(fleet: &str, pool: &str, part: &str) -> BTreeMap<String, String> {
    let mut labels = component(fleet, part);
    labels.insert(TRIAL_OF.to_owned(), pool.to_owned());
    labels
}

/// Labels that find the pods of a part of a pool's trial.
pub fn trial_selector(fleet: &str, pool: &str, part: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (COMPONENT, part), (TRIAL_OF, pool)])
}

/// Name of the objects of a part of a pool's trial: `narrator-main-shadow`. No
/// pool is called so. A long one is cut, and a digest keeps it apart from others.
pub fn trial_object(fleet: &str, pool: &str, part: &str) -> String {
    let name = format!("{fleet}-{pool}-{part}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let end = format!("-{}-{part}", short_digest(&name));
    let start: String = name.chars().take(LONGEST_NAME.saturating_sub(end.len())).collect();
    format!("{}{end}", start.trim_end_matches('-'))
}

/// Eight hex digits that tell texts apart, fit for a name.
pub(super) fn short_digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..4])
}

/// The text by which the gateway selects the EndpointSlices of all that it
/// sends requests to, and of the other gateways.
pub fn endpoints_selector(fleet: &str) -> String {
    let (key, name) = NAME;
    format!("{key}={name},{INSTANCE}={fleet},{COMPONENT} in ({INFERENCE},{JUDGE},{GATEWAY})")
}

/// A selector as `kubectl` and the scale subresource write it.
pub fn selector_text(selector: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_trials_objects_fit_a_service_and_stay_apart() {
        assert_eq!(trial_object("narrator", "main", SHADOW), "narrator-main-shadow");
        let (fleet, pool) = ("n".repeat(40), "p".repeat(20));
        let (shadow, other) = (trial_object(&fleet, &pool, SHADOW), trial_object(&fleet, &pool[1..], SHADOW));
        assert!(shadow.len() <= LONGEST_NAME && shadow.ends_with("-shadow"), "{shadow}");
        assert_ne!(shadow, other);
    }
}
