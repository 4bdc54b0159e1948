//! Names and labels.

use std::collections::BTreeMap;

/// Label with the fleet's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the pool's name.
pub const POOL: &str = "ttsfleet.dev/pool";
/// Selects the objects of all fleets, and only them.
pub const SELECTOR: &str = "app.kubernetes.io/managed-by=ttsfleet-operator,app.kubernetes.io/name=ttsfleet";

const NAME: (&str, &str) = ("app.kubernetes.io/name", "ttsfleet");

/// Labels of every object of a fleet.
pub fn fleet(fleet: &str) -> BTreeMap<String, String> {
    owned([
        NAME,
        (INSTANCE, fleet),
        ("app.kubernetes.io/component", "inference"),
        ("app.kubernetes.io/managed-by", crate::FIELD_MANAGER),
    ])
}

/// Labels of every object of a pool, and of its pods.
pub fn pool(fleet_name: &str, pool: &str) -> BTreeMap<String, String> {
    let mut labels = fleet(fleet_name);
    labels.insert(POOL.to_owned(), pool.to_owned());
    labels
}

/// Labels that find a fleet's pods. Never change them: a Deployment's selector
/// is immutable.
pub fn fleet_selector(fleet: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet)])
}

/// Labels that find a pool's pods; as immutable as the fleet's.
pub fn pool_selector(fleet: &str, pool: &str) -> BTreeMap<String, String> {
    owned([NAME, (INSTANCE, fleet), (POOL, pool)])
}

/// Name of a pool's objects.
pub fn pool_object(fleet: &str, pool: &str) -> String {
    format!("{fleet}-{pool}")
}

/// A selector as `kubectl` and the scale subresource write it.
pub fn selector_text(selector: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
