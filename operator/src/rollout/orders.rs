//! What the pool's pods are asked, given the record. Whatever is found here is
//! asked again in every pass until it holds.

use std::time::Duration;

use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::admin::Headroom;
use ttsfleet_wire::model::ModelRecord;

use super::decision::{Order, Verb};
use super::pods::has_candidate;
use super::record::{PoolRecord, Rollout, same_model};
use super::view::{PodView, PoolSpec, PoolView};

/// A load that takes longer than this while the pods go back has hung.
const HUNG: Duration = Duration::from_secs(300);
/// Memory that did not come back for which a pod is replaced, as a part of its
/// memory: one in so many.
const LEAK: u64 = 4;

/// The orders for the pods.
pub(super) fn orders(spec: &PoolSpec, record: &PoolRecord, view: &PoolView) -> Vec<Order> {
    let stable = &record.stable;
    let Some(rollout) = &record.rollout else {
        let mut orders = keep(spec, view, stable);
        if orders.is_empty() {
            orders.extend(leak(spec, view));
        }
        return orders;
    };
    match rollout.phase {
        RolloutPhase::Reverting => revert(spec, view, stable, rollout),
        RolloutPhase::Promoting | RolloutPhase::Soaking if spec.paused => Vec::new(),
        RolloutPhase::Promoting => promote(spec, view, rollout),
        RolloutPhase::Soaking => bring(spec, view, stable),
        RolloutPhase::Staging if !rollout.tested && !spec.paused => {
            let mut orders = keep(spec, view, stable);
            orders.extend(stage(view, &rollout.candidate));
            orders
        }
        _ => keep(spec, view, stable),
    }
}

/// Pods serve the stable model and keep no other in memory.
fn keep(spec: &PoolSpec, view: &PoolView, stable: &ModelRecord) -> Vec<Order> {
    let mut orders = bring(spec, view, stable);
    let spare = |pod: &&PodView| {
        let status = pod.status.as_ref();
        pod.serves(stable) && status.is_some_and(|status| status.previous.is_some() && status.task.is_none())
    };
    orders.extend(view.pods.iter().filter(spare).map(|pod| order(pod, Verb::Free)));
    orders
}

/// First all pods fetch it, then some at a time swap.
fn promote(spec: &PoolSpec, view: &PoolView, rollout: &Rollout) -> Vec<Order> {
    let orders = stage(view, &rollout.candidate);
    let waits = |pod: &PodView| pod.ready && pod.status.is_some() && !pod.has_staged(&rollout.candidate);
    if !orders.is_empty() || view.pods.iter().any(waits) {
        return orders;
    }
    let todo = view.pods.iter().filter(|pod| !has_candidate(pod, rollout));
    swap(spec, view, &rollout.candidate, todo)
}

fn stage(view: &PoolView, candidate: &ModelRecord) -> Vec<Order> {
    let wants = |pod: &&PodView| {
        let busy = pod.fetching().or_else(|| pod.loading());
        let comes = busy.is_some_and(|model| same_model(model, candidate));
        pod.ready && pod.status.is_some() && !pod.has_staged(candidate) && !comes
    };
    let todo = view.pods.iter().filter(wants);
    todo.map(|pod| order(pod, Verb::Stage(candidate.clone()))).collect()
}

/// Pods come to serve a model that is on record as the one that starting pods
/// load, some at a time. Those that are about to serve another are told at once
/// not to.
fn bring(spec: &PoolSpec, view: &PoolView, target: &ModelRecord) -> Vec<Order> {
    let is_astray = |pod: &PodView| pod.serving().is_some() && !pod.serves(target);
    let turning = view.pods.iter().filter(|pod| pod.turns_from(target) && !is_astray(pod));
    let stay = turning.map(|pod| order(pod, Verb::Swap(target.clone(), spec.swap.headroom)));
    let mut orders: Vec<_> = stay.collect();
    let astray = || view.pods.iter().filter(|pod| is_astray(pod));
    orders.extend(swap(spec, view, target, astray().filter(|pod| pod.failure_of(target).is_none())));
    let hopeless = astray().find(|pod| pod.failure_of(target).is_some() && may_go(pod, view));
    if let Some(pod) = hopeless.filter(|_| orders.is_empty()) {
        let why = format!("it cannot come to serve {}", target.title());
        orders.push(order(pod, Verb::Recycle(why)));
    }
    orders
}

/// Swaps as many pods as may be busy at a time. Those that may be busy already
/// count, and the rest follow in the order of their names, so that an order
/// that was lost is given to the same pod again.
fn swap<'a>(
    spec: &PoolSpec,
    view: &'a PoolView,
    target: &ModelRecord,
    todo: impl Iterator<Item = &'a PodView>,
) -> Vec<Order> {
    let headroom = spec.swap.headroom;
    let most = match headroom {
        Headroom::Overlap => (view.pods.len() / 4).max(1),
        Headroom::DrainFirst => 1,
    };
    // What a pod that does not answer does is not known.
    let busy = view.pods.iter().filter(|pod| pod.loading().is_some() || (pod.ready && pod.status.is_none()));
    let able = |pod: &&PodView| pod.ready && pod.status.is_some() && pod.loading().is_none();
    let mut todo: Vec<_> = todo.filter(able).collect();
    todo.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    todo.retain(|pod| headroom == Headroom::Overlap || may_leave(pod, spec, view));
    let todo = todo.into_iter().take(most.saturating_sub(busy.count()));
    todo.map(|pod| order(pod, Verb::Swap(target.clone(), headroom))).collect()
}

/// Whether a pod may stop speaking for a while.
fn may_leave(pod: &PodView, spec: &PoolSpec, view: &PoolView) -> bool {
    let mut others = view.pods.iter().filter(|other| other.uid != pod.uid).peekable();
    let alone = others.peek().is_none();
    if alone { spec.swap.allow_downtime } else { others.all(|other| other.ready) }
}

/// Whether a pod may be deleted: not one that is needed.
fn may_go(pod: &PodView, view: &PoolView) -> bool {
    let mut others = view.pods.iter().filter(|other| other.uid != pod.uid).peekable();
    let alone = others.peek().is_none();
    (!alone || !pod.ready) && others.all(|other| other.ready)
}

/// Pods that still have the old model in memory go back to it at once, the
/// others some at a time; one that hangs is replaced.
fn revert(spec: &PoolSpec, view: &PoolView, stable: &ModelRecord, rollout: &Rollout) -> Vec<Order> {
    let mut orders = bring(spec, view, stable);
    let kept = view.pods.iter().filter(|pod| !pod.serves(stable) && pod.keeps(stable));
    for pod in kept {
        orders.retain(|order| order.uid != pod.uid);
        orders.push(order(pod, Verb::Revert));
    }
    let elapsed = Duration::try_from(view.now.duration_since(rollout.since)).unwrap_or_default();
    let hangs = |pod: &&PodView| pod.turns_from(stable) && may_go(pod, view);
    if let Some(pod) = view.pods.iter().find(hangs).filter(|_| elapsed >= HUNG) {
        orders.retain(|order| order.uid != pod.uid);
        orders.push(order(pod, Verb::Recycle("it hangs while it loads a model".to_owned())));
    }
    orders
}

/// A pod whose memory did not come back is replaced, one at a time and only
/// while all others serve.
fn leak(spec: &PoolSpec, view: &PoolView) -> Option<Order> {
    let lost = |pod: &PodView| pod.status.as_ref().map_or(0, |status| status.unreturned_bytes);
    let whole = view.pods.len() >= (spec.replicas as usize).max(2) && view.pods.iter().all(|pod| pod.ready);
    let pod = view.pods.iter().filter(|_| whole).find(|pod| lost(pod) > spec.memory / LEAK)?;
    let why = format!("{} MB did not come back when a model was freed", lost(pod) / 1_000_000);
    Some(order(pod, Verb::Recycle(why)))
}

fn order(pod: &PodView, verb: Verb) -> Order {
    Order { pod: pod.name.clone(), uid: pod.uid.clone(), verb }
}
