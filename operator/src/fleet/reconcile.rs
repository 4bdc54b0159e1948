//! One pass over one fleet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{TtsDeployment, TtsDeploymentStatus};

use super::apply::{Applier, ApplyError, Changes};
use super::build::{Settings, build};
use super::repairs::Repairs;
use super::status::{self, Problem, View};
use super::validate::{Fleet, Invalid, validate};
use super::{events, pods};
use crate::cache::Caches;
use crate::kinds::Live;
use crate::metrics::Metrics;
use crate::{Clock, FIELD_MANAGER};

/// What a pass works with.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// What is known of it.
    pub caches: Caches,
    /// What is the same for every fleet.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// Bounds the writes.
    pub repairs: Repairs,
    /// Counts them.
    pub metrics: Metrics,
    /// Writes events.
    pub recorder: Recorder,
    /// Failed passes in a row, by fleet.
    pub failures: Failures,
}

/// Why a pass could not be finished. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The watches have ended.
    #[error("the caches are gone")]
    Caches(#[from] tokio::sync::watch::error::RecvError),
    /// A child could not be described as JSON.
    #[error("cannot build the fleet's objects")]
    Build(#[from] serde_json::Error),
    /// A child could not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("cannot write the status")]
    Status(#[source] kube::Error),
}

/// Makes one fleet what its TtsDeployment says.
pub async fn reconcile(object: Arc<TtsDeployment>, context: Arc<Context>) -> Result<Action, Error> {
    if object.metadata.deletion_timestamp.is_some() {
        // The children go with their owner, by the cluster's garbage collector.
        return Ok(Action::await_change());
    }
    context.caches.ready().await?;
    let now = (context.clock)();
    let mut live = context.caches.gather(&object);
    let mut pass = match validate(&object) {
        Ok(fleet) => apply(&context, fleet, &mut live, now).await?,
        Err(invalid) => Pass::invalid(&invalid),
    };
    let pods = pass.fleet.as_ref().and_then(|fleet| pods::diagnose(fleet, &live.pods, now));
    let recheck = recheck(pass.obstacle.as_ref(), pods.as_ref(), now);
    let status = status::derive(&View {
        object: &object,
        deployments: &live.deployments,
        obstacle: pass.obstacle.take(),
        pods,
        now,
    });
    write_status(&context, &object, &status).await?;
    publish(&context, &object, &status, &pass.changes).await;
    context.failures.forget(&object);
    Ok(recheck.map_or_else(Action::await_change, Action::requeue))
}

/// What became of the children.
struct Pass {
    fleet: Option<Fleet>,
    obstacle: Option<Problem>,
    changes: Changes,
}

impl Pass {
    fn invalid(invalid: &Invalid) -> Self {
        let obstacle = Problem { reason: Reason::InvalidSpec, message: invalid.to_string(), until: None };
        Self { fleet: None, obstacle: Some(obstacle), changes: Changes::default() }
    }
}

async fn apply(context: &Context, fleet: Fleet, live: &mut Live, now: Timestamp) -> Result<Pass, Error> {
    let wanted = build(&fleet, &context.settings)?;
    let Context { client, repairs, metrics, .. } = context;
    let mut applier = Applier { client, repairs, metrics, now, fleet: &fleet, changes: Changes::default() };
    let result = applier.apply(&wanted, live).await;
    let changes = applier.changes;
    let obstacle = match result {
        Ok(()) => None,
        // What is there keeps serving, and is reported.
        Err(error) => Some(error.problem().ok_or(error)?),
    };
    Ok(Pass { fleet: Some(fleet), obstacle, changes })
}

/// When to look again although nothing has changed. Objects of others are not
/// watched, so their going away is not noticed otherwise.
fn recheck(obstacle: Option<&Problem>, pods: Option<&Problem>, now: Timestamp) -> Option<Duration> {
    let obstacle = obstacle.and_then(|problem| match problem.reason {
        Reason::WaitingForCleanup => Some(Duration::from_secs(1)),
        Reason::NameConflict | Reason::Overridden | Reason::ExposeUnavailable => {
            Some(Duration::from_secs(15))
        }
        Reason::ChangeRefused => Some(Duration::from_secs(60)),
        _ => None,
    });
    let pods = pods.and_then(|problem| problem.until).map(|until| {
        let remaining = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        remaining + Duration::from_secs(1)
    });
    [obstacle, pods].into_iter().flatten().min()
}

async fn write_status(
    context: &Context,
    object: &TtsDeployment,
    status: &TtsDeploymentStatus,
) -> Result<(), Error> {
    if object.status.as_ref() == Some(status) {
        return Ok(());
    }
    let api: Api<TtsDeployment> =
        Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    let patch = json!({
        "apiVersion": TtsDeployment::api_version(&()),
        "kind": TtsDeployment::kind(&()),
        // Not the status of another fleet of the same name.
        "metadata": ObjectMeta { uid: object.uid(), ..ObjectMeta::default() },
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let result = api.patch_status(&object.name_any(), &params, &Patch::Apply(&patch)).await;
    context.metrics.wrote(&TtsDeployment::kind(&()), "status");
    match result {
        // Deleted, or deleted and made again, while we worked.
        Err(kube::Error::Api(answer)) if answer.is_not_found() || answer.is_conflict() => Ok(()),
        result => result.map(|_| ()).map_err(Error::Status),
    }
}

async fn publish(context: &Context, object: &TtsDeployment, status: &TtsDeploymentStatus, changes: &Changes) {
    for event in events::events(object.status.as_ref(), status, changes) {
        // An event is a courtesy: the status already says it.
        if let Err(error) = context.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, "cannot publish an event");
        }
    }
}

/// Counts failed passes in a row.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts another failure, and says how long to wait after it.
    pub fn next_delay(&self, object: &TtsDeployment) -> Duration {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.entry(key(object)).or_default();
        *count = count.saturating_add(1);
        delay(*count)
    }

    fn forget(&self, object: &TtsDeployment) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&key(object));
    }
}

fn key(object: &TtsDeployment) -> String {
    object.uid().unwrap_or_default()
}

/// 0.5 s, then twice as long each time, up to two minutes.
fn delay(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(120);
    let factor = 1u32 << failures.saturating_sub(1).min(16);
    Duration::from_millis(500).saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(1, 500)]
    #[case(2, 1000)]
    #[case(5, 8000)]
    #[case(9, 120_000)]
    #[case(u32::MAX, 120_000)]
    fn the_wait_doubles_up_to_two_minutes(#[case] failures: u32, #[case] milliseconds: u64) {
        assert_eq!(delay(failures), Duration::from_millis(milliseconds));
    }

    #[test]
    fn a_fleet_is_looked_at_again_when_its_problem_expires() {
        let now = Timestamp::UNIX_EPOCH;
        let until = now.checked_add(jiff::SignedDuration::from_secs(30)).ok();
        let pods = Problem { reason: Reason::OutOfMemory, message: String::new(), until };
        assert_eq!(recheck(None, Some(&pods), now), Some(Duration::from_secs(31)));
        assert_eq!(recheck(None, None, now), None, "a fleet at rest is left alone");
    }
}
