//! Pods that a model shall be tried in and that cannot be made: the API server
//! refuses them, or an object that they need.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::fleet::build::labels;
use crate::fleet::status;
use crate::fleet::validate::{Fleet, FleetPool};
use crate::rollout::{PodView, Problem, ProblemKind};

/// Why a part of a trial has no pods, if the API server refuses them.
pub(super) fn refused(
    fleet: &Fleet,
    pool: &FleetPool,
    part: &str,
    deployments: &[Arc<Deployment>],
) -> Option<String> {
    let name = labels::trial_object(&fleet.name, &pool.name, part);
    let deployment = deployments.iter().find(|deployment| deployment.name_any() == name)?;
    status::refused(deployment).map(|problem| problem.message)
}

/// In place of a part's pods that are not there, one with the reason.
pub(super) fn pod(fleet: &Fleet, pool: &FleetPool, part: &str, message: String) -> PodView {
    PodView {
        name: labels::trial_object(&fleet.name, &pool.name, part),
        uid: String::new(),
        ready: false,
        current: true,
        status: None,
        restarts: 0,
        problem: Some(Problem { kind: ProblemKind::Other, message }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};

    use super::*;
    use crate::fleet::validate::validate;

    #[test]
    fn a_part_that_a_quota_refuses_says_so() {
        let mut object = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
        object.metadata.namespace = Some("studio".to_owned());
        object.metadata.uid = Some("0b0e".to_owned());
        let fleet = validate(&object).expect("a valid spec");
        let refusal = json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: tight",
        });
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "narrator-main-baseline"}, "status": {"conditions": [refusal]},
        }))
        .expect("a Deployment");
        let deployments = [Arc::new(deployment)];
        let words = |part| refused(&fleet, &fleet.pools[0], part, &deployments);
        assert!(words("baseline").is_some_and(|words| words.contains("exceeded quota: tight")));
        assert_eq!(words("shadow"), None, "it is on its way");
    }
}
