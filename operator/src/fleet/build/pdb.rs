//! How many pods a node drain may take at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{labels, pool_meta};
use crate::fleet::validate::Fleet;

/// One pod at a time, at any number of replicas: a fleet of one can still be
/// moved. Pods that are not ready do not hold a drain up.
pub(super) fn build(fleet: &Fleet) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: pool_meta(fleet),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::pool_selector(&fleet.name, &fleet.main.name)),
                ..LabelSelector::default()
            }),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
