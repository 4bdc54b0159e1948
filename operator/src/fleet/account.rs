//! The gateway's ServiceAccount, and the pods that lost theirs: a token belongs
//! to one account, and an account that was deleted and made again under its name
//! is another one. The API server refuses the pods that were there before, and
//! what they know of the pools grows old.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use ttsfleet_crds::conditions::Reason;

use super::build::labels;
use super::pods::{is_leaving, is_over};
use super::status::Problem;
use super::validate::Fleet;
use crate::kinds::Live;

/// What was found of the gateway's account.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// What the gateway's template says of it, if anything. Another value has
    /// the pods replaced, in the ordinary way.
    pub(super) stamp: Option<String>,
    /// Pods whose account is gone.
    pub(super) bereft: Vec<String>,
}

/// No pod can be made before its account: one that is older was made with
/// another. What the template says stays until that happens again, so that
/// nothing is replaced without need.
pub(super) fn examine(fleet: &Fleet, live: &Live) -> Account {
    let name = labels::gateway_object(&fleet.name);
    let deployment = live.deployments.iter().find(|deployment| deployment.name_any() == name);
    let stamp = deployment.and_then(|deployment| stamp(deployment));
    let account = live.service_accounts.iter().find(|account| account.name_any() == name);
    let Some(account) = account else { return Account { stamp, bereft: vec![] } };
    let is_bereft = |made| account.creation_timestamp().is_some_and(|account| made < account);
    let gateways = live.pods.iter().filter(|pod| {
        let of_gateway = pod.labels().get(labels::COMPONENT).is_some_and(|part| part == labels::GATEWAY);
        of_gateway && !is_leaving(pod) && !is_over(pod)
    });
    let bereft = gateways.filter(|pod| pod.creation_timestamp().is_some_and(is_bereft));
    let mut bereft: Vec<String> = bereft.map(|pod| pod.name_any()).collect();
    bereft.sort();
    let stamp = if bereft.is_empty() { stamp } else { account.uid() };
    Account { stamp, bereft }
}

fn stamp(deployment: &Deployment) -> Option<String> {
    let metadata = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    metadata.annotations.as_ref()?.get(labels::ACCOUNT).cloned()
}

impl Account {
    /// How the fleet's status puts it.
    pub(super) fn problem(&self, fleet: &Fleet) -> Option<Problem> {
        let message = format!(
            "ServiceAccount {} was deleted and made again, so that the API server refuses the gateway's pods that \
             are older: {}. They are being replaced.",
            labels::gateway_object(&fleet.name),
            self.bereft.join(", ")
        );
        let problem = Problem { reason: Reason::AccountReplaced, message, until: None };
        (!self.bereft.is_empty()).then_some(problem)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use ttsfleet_crds::{TtsDeployment, TtsDeploymentSpec};

    use super::*;
    use crate::fleet::validate::validate;

    const MADE: &str = "2026-03-01T12:00:00Z";

    fn fleet() -> Fleet {
        let mut object = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
        object.metadata.namespace = Some("studio".to_owned());
        object.metadata.uid = Some("0b0e".to_owned());
        validate(&object).expect("a valid spec")
    }

    fn of<K: DeserializeOwned>(value: Value) -> Vec<Arc<K>> {
        vec![Arc::new(serde_json::from_value(value).expect("an object"))]
    }

    /// The account `second`, made at noon, a Deployment with this stamp, and a
    /// pod made then.
    fn live(stamp: Option<&str>, pod: Option<&str>) -> Live {
        let annotations = stamp.map_or(json!({}), |stamp| json!({"ttsfleet.dev/account": stamp}));
        let metadata = |made: &str| {
            json!({
                "name": "narrator-gateway", "uid": "second", "creationTimestamp": made,
                "labels": {"app.kubernetes.io/component": "gateway"},
            })
        };
        Live {
            service_accounts: of(json!({"metadata": metadata(MADE)})),
            deployments: of(json!({
                "metadata": metadata(MADE),
                "spec": {"selector": {}, "template": {"metadata": {"annotations": annotations}}},
            })),
            pods: pod.map_or(vec![], |made| of(json!({"metadata": metadata(made)}))),
            ..Live::default()
        }
    }

    #[rstest]
    #[case::a_new_fleet(None, None, None)]
    #[case::started_with_it(None, Some(MADE), None)]
    #[case::started_with_another(None, Some("2026-03-01T11:59:59Z"), Some("second"))]
    #[case::being_replaced(Some("second"), Some("2026-03-01T11:59:59Z"), Some("second"))]
    #[case::replaced(Some("second"), Some("2026-03-01T12:00:09Z"), Some("second"))]
    #[case::once_more(Some("first"), Some("2026-03-01T11:59:59Z"), Some("second"))]
    #[case::between_pods(Some("first"), None, Some("first"))]
    fn pods_are_replaced_once_for_every_account_and_never_for_their_first(
        #[case] stamp: Option<&str>,
        #[case] pod: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(examine(&fleet(), &live(stamp, pod)).stamp.as_deref(), expected);
    }

    #[test]
    fn it_is_told_while_pods_without_an_account_are_there() {
        let told = |pod| examine(&fleet(), &live(None, Some(pod))).problem(&fleet());
        let problem = told("2026-03-01T11:00:00Z").expect("a problem");
        assert!(problem.message.contains("ServiceAccount narrator-gateway"), "{}", problem.message);
        assert_eq!(told(MADE), None);
    }
}
