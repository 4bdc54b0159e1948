//! Pods that a model shall be tried in and that cannot be made: the API server
//! refuses them, or an object that they need.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::fleet::build::labels::{self, SHADOW};
use crate::fleet::status;
use crate::fleet::validate::{Fleet, FleetPool};
use crate::rollout::{PodView, Problem, ProblemKind};

/// In place of a shadow's pods that are not there, one with the reason; `told` is
/// what kept the trial's objects from being made.
pub(super) fn shadow(
    fleet: &Fleet,
    pool: &FleetPool,
    deployments: &[Arc<Deployment>],
    told: Option<String>,
) -> Option<PodView> {
    let name = labels::trial_object(&fleet.name, &pool.name, SHADOW);
    let deployment = deployments.iter().find(|deployment| deployment.name_any() == name);
    let refused =
        deployment.and_then(|deployment| status::refused(deployment)).map(|problem| problem.message);
    let message = refused.or(told)?;
    Some(PodView {
        name,
        uid: String::new(),
        ready: false,
        current: true,
        status: None,
        restarts: 0,
        problem: Some(Problem { kind: ProblemKind::Other, message }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};

    use super::*;
    use crate::fleet::validate::validate;

    #[test]
    fn a_shadow_that_a_quota_refuses_says_so() {
        let mut object = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
        object.metadata.namespace = Some("studio".to_owned());
        object.metadata.uid = Some("0b0e".to_owned());
        let fleet = validate(&object).expect("a valid spec");
        let refused = json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: tight",
        });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "narrator-main-shadow"}, "status": {"conditions": [refused]},
        }))
        .expect("a Deployment");
        let words = |deployments: &[Arc<Deployment>], told: Option<&str>| {
            let pod = shadow(&fleet, &fleet.pools[0], deployments, told.map(str::to_owned));
            pod.and_then(|pod| pod.problem).map(|problem| problem.message)
        };
        assert!(
            words(&[Arc::new(deployment)], None).is_some_and(|words| words.contains("exceeded quota: tight"))
        );
        assert_eq!(words(&[], Some("no ConfigMap")).as_deref(), Some("no ConfigMap"));
        assert_eq!(words(&[], None), None, "it is on its way");
    }
}
