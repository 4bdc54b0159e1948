//! Has pods do what follows from a decision.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use super::memory::Heard;
use crate::admin::Target;
use crate::fleet::reconcile::Context;
use crate::fleet::validate::Fleet;
use crate::rollout::{Note, Order, Verb};

/// Pods told at once.
const CONCURRENCY: usize = 64;

/// Gives the orders. One that is lost is given again in the next pass, because
/// the pod will not have done it. Gives events about pods that were replaced.
pub(super) async fn all(
    context: &Context,
    fleet: &Fleet,
    orders: Vec<(&Order, Option<&Target>)>,
) -> Vec<Note> {
    let given = orders.into_iter().map(|(order, target)| give(context, fleet, order, target));
    let given: Vec<_> = given.collect();
    let notes: Vec<Option<Note>> = futures::stream::iter(given).buffered(CONCURRENCY).collect().await;
    notes.into_iter().flatten().collect()
}

async fn give(context: &Context, fleet: &Fleet, order: &Order, target: Option<&Target>) -> Option<Note> {
    let Order { pod, uid, verb } = order;
    if let Verb::Recycle(why) = verb {
        return recycle(context, fleet, order, why).await;
    }
    let target = target?;
    let (what, model) = words(verb);
    let of_fleet = &fleet.owner.uid;
    tracing::info!(fleet = fleet.name, namespace = fleet.namespace, pod, model, "{what}");
    match context.pods.tell(target, verb).await {
        Ok(status) => {
            let restarts = match context.memory.heard(of_fleet, uid) {
                Some(Heard::Said { restarts, .. }) => restarts,
                _ => 0,
            };
            let at = (context.clock)();
            let heard = Heard::Said { status: Box::new(status), restarts, restless: true, at };
            context.memory.hear(of_fleet, uid, heard);
        }
        Err(error) => {
            tracing::warn!(fleet = fleet.name, namespace = fleet.namespace, pod, %error, "{what} failed");
            context.memory.disturb(of_fleet, uid);
        }
    }
    None
}

fn words(verb: &Verb) -> (&'static str, String) {
    match verb {
        Verb::Stage(model) => ("stage", model.title()),
        Verb::Swap(model, _) => ("swap", model.title()),
        Verb::Revert => ("revert", String::new()),
        Verb::Free => ("free", String::new()),
        Verb::Recycle(_) => ("recycle", String::new()),
    }
}

async fn recycle(context: &Context, fleet: &Fleet, order: &Order, why: &str) -> Option<Note> {
    let Order { pod, uid, .. } = order;
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &fleet.namespace);
    let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    context.metrics.wrote("Pod", "delete");
    match api.delete(pod, &params).await {
        Ok(_) => {
            let note = format!("Pod {pod} is replaced: {why}");
            Some(Note { warning: true, reason: "Recycled", note })
        }
        // Gone already, or its name passed on.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => None,
        Err(error) => {
            tracing::warn!(fleet = fleet.name, namespace = fleet.namespace, pod, %error, "cannot replace a pod");
            None
        }
    }
}
