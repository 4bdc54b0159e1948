//! Why pods wait for their volumes. A Secret, a ConfigMap or a claim that is
//! missing shows in no status: the kubelet tells of it in events, and reading
//! those needs no right to read Secrets.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::pods;
use super::reconcile::Context;
use super::validate::Fleet;

/// Pods whose events are read in one pass.
const MOST_PODS: usize = 8;
/// Events that are read of one pod.
const MOST_EVENTS: u32 = 50;
/// What the kubelet and the attach controller call it.
const REASONS: [&str; 4] = ["FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"];

/// What keeps pods from starting, in the kubelet's words, by the pods' uids.
pub(super) async fn trouble(
    context: &Context,
    fleet: &Fleet,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> HashMap<String, String> {
    let waiting = pods.iter().filter(|pod| pods::waits_for_volumes(pod, now)).take(MOST_PODS);
    let asked = waiting.map(|pod| async move {
        let uid = pod.uid()?;
        let of_fleet = &fleet.owner.uid;
        let known = context.memory.volumes(of_fleet, &uid, now);
        let words = match known {
            Some(words) => words,
            None => {
                let words = ask(context, fleet, &uid).await;
                context.memory.told_of_volumes(of_fleet, &uid, now, words.clone());
                words
            }
        };
        Some((uid, words?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn ask(context: &Context, fleet: &Fleet, uid: &str) -> Option<String> {
    let api: Api<Event> = Api::namespaced(context.client.clone(), &fleet.namespace);
    let about = ListParams::default().fields(&format!("involvedObject.uid={uid}")).limit(MOST_EVENTS);
    match api.list(&about).await {
        Ok(events) => last_words(&events.items),
        Err(error) => {
            tracing::debug!(fleet = fleet.name, namespace = fleet.namespace, %error, "cannot read events");
            None
        }
    }
}

/// The newest event of those that tell of volumes.
fn last_words(events: &[Event]) -> Option<String> {
    let told =
        events.iter().filter(|event| event.reason.as_deref().is_some_and(|reason| REASONS.contains(&reason)));
    let newest = told.max_by_key(|event| {
        let at = event.last_timestamp.as_ref().map(|at| at.0);
        at.or_else(|| event.event_time.as_ref().map(|at| at.0))
    })?;
    newest.message.clone().filter(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, at: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {}, "reason": reason, "lastTimestamp": at, "message": message,
        }))
        .expect("an event")
    }

    #[test]
    fn the_newest_word_about_volumes_is_taken() {
        let events = [
            event("FailedMount", "2026-03-01T12:00:00Z", "secret \"old\" not found"),
            event("FailedMount", "2026-03-01T12:02:00Z", "secret \"keys\" not found"),
            event("Scheduled", "2026-03-01T12:03:00Z", "assigned"),
        ];
        assert_eq!(last_words(&events).as_deref(), Some("secret \"keys\" not found"));
        assert_eq!(last_words(&events[2..]), None);
    }
}
