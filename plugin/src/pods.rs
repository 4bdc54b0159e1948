//! Pods, one line each.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use ttsfleet_crds::labels::{COMPONENT, POOL, TRIAL_OF};

use crate::tree::{Mark, Row};
use crate::words::age;

/// Lines of the pods of one part of the fleet; of one pool's, where it has
/// pools.
pub(crate) fn rows(pods: &[Pod], component: &str, pool: Option<&str>, now: Timestamp) -> Vec<Row> {
    let belongs = |pod: &&Pod| {
        let label = |key: &str| pod.labels().get(key).map(String::as_str);
        let of_pool = || label(POOL).or_else(|| label(TRIAL_OF)) == pool;
        label(COMPONENT) == Some(component) && (pool.is_none() || of_pool())
    };
    let mut rows: Vec<(String, Row)> =
        pods.iter().filter(belongs).map(|pod| (pod.name_any(), row(pod, now))).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A pod of that part of the fleet that is ready, and to stay.
pub(crate) fn ready<'p>(pods: &'p [Pod], component: &str) -> Option<&'p Pod> {
    let belongs = |pod: &&Pod| pod.labels().get(COMPONENT).is_some_and(|part| part == component);
    pods.iter().filter(belongs).find(|pod| state(pod).0 == Mark::Good)
}

fn row(pod: &Pod, now: Timestamp) -> Row {
    let (mark, status) = state(pod);
    let restarts: i32 = containers(pod).map(|container| container.restart_count).sum();
    let mut info = Vec::new();
    if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
        info.push(format!("on {node}"));
    }
    if restarts > 0 {
        info.push(format!("{restarts} restart{}", if restarts == 1 { "" } else { "s" }));
    }
    let since = pod.metadata.creation_timestamp.as_ref();
    Row::new(format!("pod {}", pod.name_any()))
        .status(mark, status)
        .age(age(since, now))
        .info(info.join(", "))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// How a pod is doing, in a word.
fn state(pod: &Pod) -> (Mark, String) {
    if pod.metadata.deletion_timestamp.is_some() {
        return (Mark::Busy, "Terminating".to_owned());
    }
    let conditions = || pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    if conditions().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return (Mark::Good, "Ready".to_owned());
    }
    let waiting = containers(pod).find_map(|container| container.state.as_ref()?.waiting.as_ref());
    if let Some(reason) = waiting.and_then(|waiting| waiting.reason.clone()) {
        let usual = ["ContainerCreating", "PodInitializing"].contains(&reason.as_str());
        return (if usual { Mark::Busy } else { Mark::Bad }, reason);
    }
    if conditions().any(|condition| condition.reason.as_deref() == Some("Unschedulable")) {
        return (Mark::Bad, "Unschedulable".to_owned());
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match phase.unwrap_or("Pending") {
        "Running" => (Mark::Busy, "NotReady".to_owned()),
        "Failed" => (Mark::Bad, "Failed".to_owned()),
        other => (Mark::Busy, other.to_owned()),
    }
}
