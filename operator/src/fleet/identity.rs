//! Whose an object is. Labels can be written by anybody; an owner is set by
//! whoever made the object.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt};
use ttsfleet_crds::TtsDeployment;

use super::build::labels;

/// Whose an object is, seen from a fleet.
#[derive(Debug, PartialEq)]
pub enum Owner<'a> {
    /// The fleet's own.
    Fleet,
    /// It has all of the fleet's labels and no owner: left behind by `kubectl
    /// delete --cascade=orphan`, and to be taken in again.
    Orphan,
    /// That of a fleet of this name that is no more.
    Predecessor,
    /// Somebody else's.
    Other(&'a OwnerReference),
    /// Nobody's, and not made for this fleet.
    Nobody,
}

/// Whose an object is, seen from the fleet that this reference points to.
pub fn owner<'a, K: Resource>(object: &'a K, fleet: &OwnerReference) -> Owner<'a> {
    match controller(object) {
        Some(owner) if owner.uid == fleet.uid => Owner::Fleet,
        Some(owner) if (&owner.kind, &owner.name) == (&fleet.kind, &fleet.name) => Owner::Predecessor,
        Some(owner) => Owner::Other(owner),
        None if labels::fleet(&fleet.name)
            .iter()
            .all(|label| object.labels().get(label.0) == Some(label.1)) =>
        {
            Owner::Orphan
        }
        None => Owner::Nobody,
    }
}

/// The one that made an object, by its uid.
pub(crate) fn maker<K: Resource>(object: &K) -> Option<&str> {
    controller(object).map(|owner| owner.uid.as_str())
}

fn controller<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}

/// Those of the pods that the fleet's Deployments have made. Others may carry
/// the same labels.
pub fn own_pods(
    fleet: &TtsDeployment,
    deployments: &[Arc<Deployment>],
    replica_sets: &[Arc<PartialObjectMeta<ReplicaSet>>],
    mut pods: Vec<Arc<Pod>>,
) -> Vec<Arc<Pod>> {
    let fleet = fleet.uid();
    let own = deployments
        .iter()
        .filter(|deployment| fleet.is_some() && maker(deployment.as_ref()) == fleet.as_deref());
    let own: HashSet<String> = own.filter_map(|deployment| deployment.uid()).collect();
    let sets = replica_sets.iter().filter(|set| maker(set.as_ref()).is_some_and(|uid| own.contains(uid)));
    let sets: HashSet<String> = sets.filter_map(|set| set.uid()).collect();
    pods.retain(|pod| maker(pod.as_ref()).is_some_and(|uid| sets.contains(uid)));
    pods
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use ttsfleet_crds::TtsDeploymentSpec;

    use super::*;

    fn fleet() -> TtsDeployment {
        let mut fleet = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
        fleet.metadata.uid = Some("fleet".to_owned());
        fleet
    }

    fn made_by(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    fn object<K: DeserializeOwned>(uid: &str, owners: &Value) -> Arc<K> {
        let labels = json!({
            "app.kubernetes.io/name": "ttsfleet", "app.kubernetes.io/instance": "narrator",
            "app.kubernetes.io/managed-by": "ttsfleet-operator", "ttsfleet.dev/pool": "main",
        });
        let metadata = json!({"name": uid, "uid": uid, "labels": labels, "ownerReferences": owners});
        Arc::new(serde_json::from_value(json!({"metadata": metadata})).expect("an object"))
    }

    #[rstest]
    #[case::made_by_the_fleet("set", true)]
    #[case::of_a_deployment_of_somebody_else("theirs", false)]
    #[case::of_an_unknown_set("gone", false)]
    fn pods_are_told_by_who_made_them(#[case] set: &str, #[case] own: bool) {
        let deployments = [
            object::<Deployment>("pool", &made_by("TtsDeployment", "narrator", "fleet")),
            object("other", &made_by("TtsDeployment", "narrator", "an earlier fleet")),
        ];
        let sets = [
            object::<PartialObjectMeta<ReplicaSet>>("set", &made_by("Deployment", "narrator-main", "pool")),
            object("theirs", &made_by("Deployment", "narrator-main", "other")),
        ];
        let pods = vec![object::<Pod>("pod", &made_by("ReplicaSet", "narrator-main-1", set))];
        assert_eq!(own_pods(&fleet(), &deployments, &sets, pods).len(), usize::from(own));
    }

    #[test]
    fn a_pod_is_not_the_fleets_for_carrying_its_labels() {
        let deployments = [object::<Deployment>("pool", &made_by("TtsDeployment", "narrator", "fleet"))];
        let sets =
            [object::<PartialObjectMeta<ReplicaSet>>("set", &made_by("Deployment", "narrator-main", "pool"))];
        let stray = vec![object::<Pod>("stray", &json!([]))];
        assert_eq!(own_pods(&fleet(), &deployments, &sets, stray), vec![]);
    }
}
