//! The pools' models in one pass: what is on record and what the pods say →
//! [`decide`] → the next record → orders. The one place of a pass that talks to
//! pods.

mod carry_out;
mod memory;
mod observe;
mod prompts;
mod record;
mod unmade;

use std::time::Duration;

use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use ttsfleet_crds::TtsDeployment;

pub use memory::Memory;

use super::apply::{Applier, ApplyError};
use super::build::{PoolPlan, Prompts, labels, model_record};
use super::reconcile::{Context, Error};
use super::status::PoolProgress;
use super::validate::{Fleet, FleetPool};
use crate::kinds::Live;
use crate::rollout::{Commands, Decision, Note, PoolRecord, Rollout, decide};
use observe::Observed;
use record::OnRecord;

/// One pool in one pass.
pub(crate) struct PoolPass {
    pool: String,
    before: OnRecord,
    decision: Decision,
    pub(crate) plan: PoolPlan,
    /// The object with the next record.
    config: ConfigMap,
    observed: Observed,
}

/// What follows for each pool, in the order of the spec. Nothing is written yet;
/// `live` then has the records as they were found.
pub(crate) async fn examine(
    context: &Context,
    object: &TtsDeployment,
    fleet: &Fleet,
    live: &mut Live,
    now: Timestamp,
) -> Result<Vec<PoolPass>, Error> {
    let names: Vec<&str> = fleet.pools.iter().map(|pool| pool.name.as_str()).collect();
    context.memory.keep_pools(&fleet.owner.uid, &names);
    let found = fleet.pools.iter().map(|pool| record::find(context, fleet, pool, live));
    let found = try_join_all(found).await?;
    for object in found.iter().filter_map(|found| found.object.as_ref()) {
        live.config_maps.retain(|known| known.name_any() != object.name_any());
        live.config_maps.push(object.clone());
    }
    context.memory.keep_pods(&fleet.owner.uid, &live.pods);
    let live = &*live;
    let passes = fleet.pools.iter().zip(found).map(|(pool, before)| async move {
        let commands = Commands::read(object.annotations(), &pool.name);
        examine_pool(context, fleet, pool, &commands, before, live, now).await
    });
    try_join_all(passes).await
}

async fn examine_pool(
    context: &Context,
    fleet: &Fleet,
    pool: &FleetPool,
    commands: &Commands,
    mut before: OnRecord,
    live: &Live,
    now: Timestamp,
) -> Result<PoolPass, Error> {
    let name = labels::pool_object(&fleet.name, &pool.name);
    let deployment = live.deployments.iter().find(|deployment| deployment.name_any() == name);
    let mut plan = PoolPlan { live: deployment.cloned(), ..PoolPlan::at_rest(before.record.clone()) };
    if let Some(name) = fleet.rollout.prompts.as_ref().filter(|_| wants_prompts(&before.record)) {
        plan.prompts = prompts::read(context, fleet, name).await?;
    }
    let mut observed = observe::pool(context, fleet, pool, &plan, live, now).await?;
    if let Prompts::Missing(words) = &plan.prompts {
        observed.view.judge_problem = Some(words.clone());
    }
    let refused = |part| unmade::refused(fleet, pool, part, &live.deployments);
    let view = &mut observed.view;
    if view.shadow.is_empty() {
        let told = refused(labels::SHADOW).or_else(|| context.memory.trial(&fleet.owner.uid));
        view.shadow.extend(told.map(|words| unmade::pod(fleet, pool, labels::SHADOW, words)));
    }
    if view.baseline.is_empty() {
        let told = refused(labels::BASELINE);
        view.baseline.extend(told.map(|words| unmade::pod(fleet, pool, labels::BASELINE, words)));
    }
    view.judge_problem = view.judge_problem.take().or_else(|| refused(labels::JUDGE));
    if let Some(model) = observed.view.served_by_most().filter(|_| before.is_first) {
        // The record was lost: what callers hear is not replaced untested.
        before.record = PoolRecord::first(model.clone());
    }
    let decision = decide(&fleet.rollout.of_pool(pool), commands, &before.record, &observed.view);
    plan.record = decision.record.clone();
    plan.wants = decision.wants.clone();
    let config = model_record(fleet, pool, &plan.record)?;
    Ok(PoolPass { pool: pool.name.clone(), before, decision, plan, config, observed })
}

/// Whether a judge is there, or will be next.
fn wants_prompts(record: &PoolRecord) -> bool {
    use ttsfleet_crds::RolloutPhase::{Shadowing, Staging};
    let compares = |rollout: &Rollout| rollout.tested && matches!(rollout.phase, Staging | Shadowing);
    record.rollout.as_ref().is_some_and(compares)
}

/// Writes the next records, and makes `live` have them. Nothing else of the
/// pass may be done before.
pub(crate) async fn put_on_record(
    context: &Context,
    applier: &mut Applier<'_>,
    passes: &[PoolPass],
    live: &mut Live,
) -> Result<(), ApplyError> {
    let fleet = applier.fleet;
    for (pool, pass) in fleet.pools.iter().zip(passes) {
        record::write(context, applier, pool, pass, live).await?;
    }
    Ok(())
}

/// Has the pods do what follows.
pub(crate) async fn carry_out(context: &Context, fleet: &Fleet, passes: &[PoolPass]) -> Vec<Note> {
    let orders = passes.iter().flat_map(|pass| {
        let told = pass.decision.orders.iter();
        told.map(|order| (order, pass.observed.targets.get(&order.uid)))
    });
    let recycled = carry_out::all(context, fleet, orders.collect()).await;
    let notes = passes.iter().flat_map(|pass| pass.decision.notes.clone());
    notes.chain(recycled).collect()
}

/// When to look at the pods again although nothing has changed.
pub(crate) fn recheck(passes: &[PoolPass]) -> Option<Duration> {
    let times = passes.iter().flat_map(|pass| [pass.decision.recheck, pass.observed.recheck]);
    times.flatten().min()
}

/// What the status says of the pools.
pub(crate) fn progress(passes: &[PoolPass]) -> Vec<PoolProgress> {
    let of_pool = |pass: &PoolPass| PoolProgress {
        pool: pass.pool.clone(),
        stable: pass.decision.record.stable.clone(),
        progress: pass.decision.progress.clone(),
        quality: pass.decision.quality.clone(),
    };
    passes.iter().map(of_pool).collect()
}
