//! One pass over one fleet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::Recorder;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use ttsfleet_crds::conditions::Reason;
use ttsfleet_crds::{TtsDeployment, TtsDeploymentStatus};

use super::account::{self, Account};
use super::apply::{Applier, ApplyError, Changes, Unwritten};
use super::build::{PoolPlan, Settings, build};
use super::failures::Failures;
use super::lexicon::{self, Applied};
use super::models::{self, Memory};
use super::repairs::Repairs;
use super::status::{self, PoolProgress, Problem, View};
use super::validate::{Fleet, Invalid, validate};
use super::{events, pods, traffic, volumes};
use crate::admin::Pods;
use crate::cache::Caches;
use crate::kinds::Live;
use crate::metrics::Metrics;
use crate::rollout::Note;
use crate::{Clock, FIELD_MANAGER};

/// Failed passes in a row after which the status says what fails, although the
/// next try may help.
const FAILURES_TOLD: u32 = 3;

/// What a pass works with.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// What is known of it.
    pub caches: Caches,
    /// How pods are talked to.
    pub pods: Arc<dyn Pods>,
    /// What they have said, and what was written.
    pub memory: Memory,
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
    /// Something could not be looked up.
    #[error("cannot read from the API server")]
    Read(#[source] kube::Error),
    /// The status could not be written.
    #[error("cannot write the status")]
    Status(#[source] kube::Error),
}

impl Error {
    /// How the fleet's status puts it.
    fn problem(&self) -> Problem {
        let (reason, cause) = match self {
            Self::Apply(error) => return error.problem(),
            Self::Read(error) | Self::Status(error) => (Reason::ChangeRefused, error.to_string()),
            Self::Build(error) => (Reason::ChangeRefused, error.to_string()),
            Self::Caches(error) => (Reason::ChangeRefused, error.to_string()),
        };
        Problem { reason, message: format!("{self}, and it is tried again: {cause}"), until: None }
    }
}

/// A pass that could not be finished.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Unfinished {
    /// Why.
    source: Error,
    /// When the fleet is to be looked at, whatever the pause after failures.
    recheck: Option<Duration>,
}

impl Unfinished {
    /// When to try again after this and the pause that failures in a row ask for.
    pub fn again_in(&self, pause: Duration) -> Duration {
        self.recheck.map_or(pause, |recheck| recheck.min(pause))
    }
}

impl From<Error> for Unfinished {
    fn from(source: Error) -> Self {
        Self { source, recheck: None }
    }
}

/// Makes one fleet what its TtsDeployment says.
pub async fn reconcile(object: Arc<TtsDeployment>, context: Arc<Context>) -> Result<Action, Unfinished> {
    if object.metadata.deletion_timestamp.is_some() {
        // The children go with their owner, by the cluster's garbage collector.
        return Ok(Action::await_change());
    }
    context.caches.ready().await.map_err(Error::Caches)?;
    context.remember(&object);
    let now = (context.clock)();
    let mut live = context.caches.gather(&object);
    let mut pass = match validate(&object) {
        Ok(fleet) => carry_out(&context, &object, fleet, &mut live, now).await,
        Err(invalid) => Pass::invalid(&invalid),
    };
    let seen = pass.fleet.as_ref().map(|fleet| look(&context, fleet, &live, &pass.account, now));
    let Seen { problems, unreached, recheck: look_again } = seen.unwrap_or_default();
    let known = pass.obstacle.iter().chain(&pass.trial).chain(&problems);
    let of_lexicon = lexicon::recheck(&object.spec.lexicon);
    let recheck = [recheck(known, now), look_again, pass.recheck, of_lexicon].into_iter().flatten().min();
    let status = status::derive(&View {
        object: &object,
        deployments: &live.deployments,
        obstacle: pass.obstacle.take(),
        problems,
        trial: pass.trial.take(),
        unreached,
        models: std::mem::take(&mut pass.models),
        adjusted: &pass.changes.adjusted,
        lexicon: pass.lexicon.take(),
        now,
    });
    let written = write_status(&context, &object, &status).await;
    publish(&context, &object, &status, &pass).await;
    if let Some(source) = pass.failed.or(written.err()) {
        return Err(Unfinished { source, recheck });
    }
    context.failures.forget(&object.uid().unwrap_or_default());
    Ok(recheck.map_or_else(Action::await_change, Action::requeue))
}

impl Context {
    /// Forgets a fleet that is gone, by its uid; without that it is forgotten when
    /// another one is seen for the first time.
    pub(crate) fn forget(&self, fleet: Option<&str>) {
        if let Some(fleet) = fleet {
            self.memory.forget(fleet);
            self.failures.forget(fleet);
        }
    }

    /// Makes room in memory when a fleet is seen for the first time.
    fn remember(&self, object: &TtsDeployment) {
        if !self.memory.knows(&object.uid().unwrap_or_default()) {
            let there = self.caches.fleets.state().iter().filter_map(|fleet| fleet.uid()).collect();
            self.memory.keep_fleets(&there);
        }
    }
}

/// What was seen of pods and traffic.
#[derive(Default)]
struct Seen {
    /// What is wrong, the worst first.
    problems: Vec<Problem>,
    /// Ready pods that no request reaches.
    unreached: BTreeMap<String, i32>,
    recheck: Option<Duration>,
}

fn look(context: &Context, fleet: &Fleet, live: &Live, account: &Account, now: Timestamp) -> Seen {
    let found = traffic::differences(fleet, live);
    let (lasting, grace) = context.memory.lasting(&fleet.owner.uid, found, now);
    let problems = account.problem(fleet).into_iter();
    let problems = problems.chain(pods::diagnose(fleet, &live.pods, &live.volumes, now));
    Seen {
        problems: problems.chain(traffic::problems(fleet, &lasting)).collect(),
        unreached: traffic::unreached(&lasting),
        recheck: [grace, pods::next_look(&live.pods, now)].into_iter().flatten().min(),
    }
}

/// What became of the children and the models.
#[derive(Default)]
struct Pass {
    fleet: Option<Fleet>,
    account: Account,
    /// What callers depend on and is not as it shall be.
    obstacle: Option<Problem>,
    /// The same of what a model is tried with.
    trial: Option<Problem>,
    /// What the next try may solve: the pass is repeated.
    failed: Option<Error>,
    changes: Changes,
    models: Vec<PoolProgress>,
    lexicon: Option<Applied>,
    notes: Vec<Note>,
    recheck: Option<Duration>,
}

impl Pass {
    fn invalid(invalid: &Invalid) -> Self {
        let obstacle = Problem { reason: Reason::InvalidSpec, message: invalid.to_string(), until: None };
        Self { obstacle: Some(obstacle), ..Self::default() }
    }

    /// Takes in what could not be written: what only a person can solve first.
    /// What the next try may solve is told only once some have failed.
    fn note(&mut self, mut unwritten: Vec<Unwritten>, tells_all: bool) {
        unwritten.sort_by_key(|unwritten| unwritten.error.is_transient());
        for Unwritten { is_of_trial, error } in unwritten {
            let place = if is_of_trial { &mut self.trial } else { &mut self.obstacle };
            if place.is_none() && (tells_all || !error.is_transient()) {
                *place = Some(error.problem());
            }
            if self.failed.is_none() && error.is_transient() {
                self.failed = Some(error.into());
            }
        }
    }

    /// Takes in what ended the pass early.
    fn fail(&mut self, error: Error, tells_all: bool) {
        self.obstacle = tells_all.then(|| error.problem());
        self.failed = Some(error);
    }
}

/// Looks at the pools' models, puts on record what follows, makes the children
/// what they shall be, and only then has the pods do something.
async fn carry_out(
    context: &Context,
    object: &TtsDeployment,
    mut fleet: Fleet,
    live: &mut Live,
    now: Timestamp,
) -> Pass {
    let mut pass = Pass { account: account::examine(&fleet, live), ..Pass::default() };
    let tells_all = context.failures.in_a_row(object) >= FAILURES_TOLD;
    match work(context, object, &mut fleet, live, &mut pass, now).await {
        Ok(unwritten) => pass.note(unwritten, tells_all),
        Err(error) => pass.fail(error, tells_all),
    }
    if !pass.models.is_empty() {
        let told = pass.trial.as_ref().map(|problem| problem.message.clone());
        context.memory.tried(&fleet.owner.uid, told);
    }
    pass.fleet = Some(fleet);
    pass
}

/// The same, until something ends it; gives what could not be written.
async fn work(
    context: &Context,
    object: &TtsDeployment,
    fleet: &mut Fleet,
    live: &mut Live,
    pass: &mut Pass,
    now: Timestamp,
) -> Result<Vec<Unwritten>, Error> {
    live.volumes = volumes::trouble(context, fleet, &live.pods, now).await;
    pass.lexicon = lexicon::examine(&context.client, &object.spec.lexicon, fleet, live).await?;
    let pools = models::examine(context, object, fleet, live, now).await?;
    let plans: Vec<PoolPlan> = pools.iter().map(|pool| pool.plan.clone()).collect();
    let wanted = build(fleet, &context.settings, &plans, pass.account.stamp.as_deref())?;
    let Context { client, repairs, metrics, memory, .. } = context;
    let mut applier = Applier { client, repairs, metrics, memory, now, fleet, changes: Changes::default() };
    pass.recheck = models::recheck(&pools);
    let unwritten = match models::put_on_record(context, &mut applier, &pools, live).await {
        Ok(()) => {
            let unwritten = applier.apply(&wanted, live).await;
            pass.models = models::progress(&pools);
            // What is there keeps serving, and is reported. Pods go on with their
            // models, whatever keeps other objects from being as they shall be.
            pass.notes = models::carry_out(context, fleet, &pools).await;
            unwritten
        }
        Err(error) if error.is_outdated() => return Err(error.into()),
        // What is not on record has not happened.
        Err(error) => applier.maintain(&wanted, live, error).await,
    };
    pass.changes = applier.changes;
    Ok(unwritten)
}

/// When to look again although nothing has changed. Objects of others are not
/// watched, so their going away is not noticed otherwise.
fn recheck<'a>(known: impl Iterator<Item = &'a Problem>, now: Timestamp) -> Option<Duration> {
    let times = known.flat_map(|problem| {
        let by_reason = match problem.reason {
            Reason::WaitingForCleanup => Some(Duration::from_secs(1)),
            Reason::NameConflict | Reason::Overridden | Reason::ExposeUnavailable => {
                Some(Duration::from_secs(15))
            }
            Reason::ChangeRefused => Some(Duration::from_secs(60)),
            _ => None,
        };
        let by_end = problem.until.map(|until| {
            let remaining = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            remaining + Duration::from_secs(1)
        });
        [by_reason, by_end]
    });
    times.flatten().min()
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

async fn publish(context: &Context, object: &TtsDeployment, status: &TtsDeploymentStatus, pass: &Pass) {
    let told = events::events(object.status.as_ref(), status, &pass.changes);
    for event in told.into_iter().chain(pass.notes.iter().map(events::of_rollout)) {
        // An event is a courtesy: the status already says it.
        if let Err(error) = context.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(%error, "cannot publish an event");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::failures::delay;
    use rstest::rstest;

    #[rstest]
    #[case::of_a_rollout_under_way(Some(1), 1)]
    #[case::of_one_that_waits_for_long(Some(300), 8)]
    #[case::of_none(None, 8)]
    fn what_fails_puts_off_no_look_at_a_fleet(#[case] recheck: Option<u64>, #[case] seconds: u64) {
        let recheck = recheck.map(Duration::from_secs);
        let source = Error::Read(kube::Error::LinesCodecMaxLineLengthExceeded);
        let unfinished = Unfinished { source, recheck };
        assert_eq!(unfinished.again_in(delay(5)), Duration::from_secs(seconds));
    }

    #[test]
    fn a_fleet_is_looked_at_again_when_its_problem_expires() {
        let now = Timestamp::UNIX_EPOCH;
        let until = now.checked_add(jiff::SignedDuration::from_secs(30)).ok();
        let pods = Problem { reason: Reason::OutOfMemory, message: String::new(), until };
        assert_eq!(recheck([&pods].into_iter(), now), Some(Duration::from_secs(31)));
        assert_eq!(recheck([].into_iter(), now), None, "a fleet at rest is left alone");
    }
}
