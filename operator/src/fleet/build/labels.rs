//! Names and labels.

use std::collections::BTreeMap;

/// Label with the fleet's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the part of the fleet.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label with the pool's name.
pub const POOL: &str = "ttsfleet.dev/pool";
/// Label of pods that share their GPU, with the way they do.
pub const GPU_SHARING: &str = "ttsfleet.dev/gpu-sharing";
/// Selects the objects of all fleets, and only them.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=ttsfleet-operator,app.kubernetes.io/name=ttsfleet";

/// [`COMPONENT`] of the pools.
pub const INFERENCE: &str = "inference";
/// [`COMPONENT`] of the gateway.
pub const GATEWAY: &str = "gateway";

const NAME: (&str, &str) = ("app.kubernetes.io/name", "ttsfleet");
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

/// A selector as `kubectl` and the scale subresource write it.
pub fn selector_text(selector: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
