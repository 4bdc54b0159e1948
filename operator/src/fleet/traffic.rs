//! Whether callers' requests reach the pods that are counted, and no others.
//! What a Service leads to is in its EndpointSlices: the gateway goes by those of
//! the pools, and callers by those of the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;
use ttsfleet_crds::conditions::Reason;

use super::build::labels;
use super::pods::{is_leaving, is_ready};
use super::status::Problem;
use super::validate::Fleet;
use crate::kinds::Live;

/// How long a difference may last, since neither pods nor EndpointSlices are
/// seen at the moment when they change.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(20);

/// Label of an EndpointSlice with its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Something that differs, in a pool or in `gateway`, which no pool is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// This answers although the fleet has not made it.
    Stray { part: String, who: String },
    /// This pod is ready, and no request gets to it.
    Unreached { part: String, pod: String },
    /// This pod is not ready, and requests are sent to it.
    Unready { part: String, pod: String },
}

/// What of the traffic differs from what is counted.
pub(super) fn differences(fleet: &Fleet, live: &Live) -> BTreeSet<Difference> {
    let pools = fleet.pools.iter().map(|pool| {
        let service = labels::pool_object(&fleet.name, &pool.name);
        of_part(&pool.name, &service, (labels::POOL, &pool.name), live)
    });
    let gateway = of_part(labels::GATEWAY, &fleet.name, (labels::COMPONENT, labels::GATEWAY), live);
    pools.flatten().chain(gateway).collect()
}

fn of_part(part: &str, service: &str, label: (&str, &str), live: &Live) -> Vec<Difference> {
    let of_part = |pod: &&Arc<Pod>| pod.labels().get(label.0).is_some_and(|value| value == label.1);
    let pods: BTreeMap<String, &Arc<Pod>> =
        live.pods.iter().filter(of_part).filter_map(|pod| Some((pod.uid()?, pod))).collect();
    let leads = |slice: &&Arc<EndpointSlice>| slice.labels().get(SERVICE).is_some_and(|of| of == service);
    let endpoints = live.endpoints.iter().filter(leads).flat_map(|slice| slice.endpoints.iter().flatten());
    let (mut found, mut reached) = (Vec::new(), BTreeSet::new());
    for endpoint in endpoints.filter(|endpoint| takes_requests(endpoint)) {
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        let uid = target.and_then(|target| target.uid.as_ref());
        match uid.and_then(|uid| pods.get_key_value(uid)) {
            Some((uid, pod)) => {
                reached.insert(uid);
                if !is_ready(pod) && !is_leaving(pod) {
                    found.push(Difference::Unready { part: part.to_owned(), pod: pod.name_any() });
                }
            }
            None => {
                let pod = target.and_then(|target| target.name.as_ref()).map(|name| format!("Pod {name}"));
                let address = || endpoint.addresses.first().map(|address| format!("Address {address}"));
                let who = pod.or_else(address).unwrap_or_default();
                found.push(Difference::Stray { part: part.to_owned(), who });
            }
        }
    }
    let unreached =
        pods.iter().filter(|(uid, pod)| is_ready(pod) && !is_leaving(pod) && !reached.contains(uid));
    found.extend(
        unreached.map(|(_, pod)| Difference::Unreached { part: part.to_owned(), pod: pod.name_any() }),
    );
    found
}

fn takes_requests(endpoint: &Endpoint) -> bool {
    // What says nothing is to be taken for ready.
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// For each part, the ready pods that no request reaches.
pub(super) fn unreached(lasting: &[Difference]) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    for difference in lasting {
        if let Difference::Unreached { part, .. } = difference {
            *counts.entry(part.clone()).or_default() += 1;
        }
    }
    counts
}

/// How the fleet's status puts what has lasted: a sentence for each part and
/// kind.
pub(super) fn problems(fleet: &Fleet, lasting: &[Difference]) -> Vec<Problem> {
    let mut groups: BTreeMap<(u8, &str), Vec<&str>> = BTreeMap::new();
    for difference in lasting {
        let (kind, part, who) = match difference {
            Difference::Unreached { part, pod } => (0, part, pod),
            Difference::Stray { part, who } => (1, part, who),
            Difference::Unready { part, pod } => (2, part, pod),
        };
        groups.entry((kind, part)).or_default().push(who);
    }
    let sentence = |((kind, part), who): ((u8, &str), Vec<&str>)| {
        let (place, service) = match part {
            labels::GATEWAY => ("the gateway".to_owned(), fleet.name.clone()),
            pool => (format!("pool {pool}"), labels::pool_object(&fleet.name, pool)),
        };
        let who = who.join(", ");
        let slices = format!(
            "see why the EndpointSlices of Service {service} differ from the pods: kube-controller-manager writes \
             them, and nothing else should"
        );
        let (reason, message) = match kind {
            0 => (
                Reason::EndpointsDiffer,
                format!("No request reaches {who} of {place}, although they are ready; {slices}."),
            ),
            1 => (
                Reason::StrayPod,
                format!(
                    "{who} answers callers as {place} without being one of this fleet's: delete it, or take its \
                     labels away."
                ),
            ),
            _ => (
                Reason::EndpointsDiffer,
                format!("Requests are sent to {who} of {place}, although they are not ready; {slices}."),
            ),
        };
        Problem { reason, message, until: None }
    };
    groups.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests;
