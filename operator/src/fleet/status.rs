//! What the fleet's status says.

mod models;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use ttsfleet_crds::conditions::{ConditionType, Reason};
use ttsfleet_crds::{
    GatewayStatus, Lexicon, Pool, PoolStatus, RolloutPhase, RolloutStatus, TtsDeployment, TtsDeploymentStatus,
};
use ttsfleet_wire::model::ModelRecord;

use super::apply::Adjusted;
use super::build::labels;
use super::lexicon::Applied;
use crate::rollout::{Progress, Quality};

/// Fields of an object that are named in a condition.
const FIELDS_TOLD: usize = 5;

/// Something wrong that waiting does not solve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// In one word.
    pub reason: Reason,
    /// In a sentence that says what to do.
    pub message: String,
    /// When it stops being worth reporting; none while it lasts.
    pub until: Option<Timestamp>,
}

/// What the status is made from.
pub struct View<'a> {
    /// The fleet with its present status.
    pub object: &'a TtsDeployment,
    /// Its Deployments, as far as there are any.
    pub deployments: &'a [Arc<Deployment>],
    /// What keeps the objects from being as they shall be.
    pub obstacle: Option<Problem>,
    /// What else is wrong, the worst first.
    pub problems: Vec<Problem>,
    /// What keeps a model from being tried, which is no fault of the fleet's.
    pub trial: Option<Problem>,
    /// Ready pods that no request reaches, by pool or as `gateway`.
    pub unreached: BTreeMap<String, i32>,
    /// How the pools' models get on; empty where that was not looked at, and
    /// what was said of it before stays.
    pub models: Vec<PoolProgress>,
    /// What the API server makes something else of; likewise.
    pub adjusted: &'a [Adjusted],
    /// What is used of the lexicon; none where that was not looked at, and what was
    /// said of it before stays.
    pub lexicon: Option<Applied>,
    /// The time.
    pub now: Timestamp,
}

/// How a pool's models get on.
#[derive(Clone, Debug)]
pub struct PoolProgress {
    /// The pool.
    pub pool: String,
    /// What its pods load at start.
    pub stable: ModelRecord,
    /// How far a rollout is, and what the pods serve.
    pub progress: Progress,
    /// What was found of the newest model.
    pub quality: Quality,
}

/// The pods of a pool or of the gateway, counted.
#[derive(Clone, Debug)]
struct Count {
    /// The pool's name, or `gateway`, which no pool is called.
    name: String,
    wanted: i32,
    there: i32,
    current: i32,
    /// Ready, and reached by requests.
    ready: i32,
    /// The Deployment controller has seen the latest template and brought it
    /// up at least once.
    settled: bool,
}

/// All counts of a fleet.
struct Counts {
    pools: Vec<Count>,
    gateway: Count,
}

/// A condition before it gets its times.
struct Finding {
    type_: ConditionType,
    /// None if it is not known.
    status: Option<bool>,
    reason: Reason,
    message: String,
}

/// Derives the whole status.
pub fn derive(view: &View<'_>) -> TtsDeploymentStatus {
    let object = view.object;
    let counts = Counts::of(view);
    let previous = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut conditions: Vec<Condition> = findings(view, &counts)
        .into_iter()
        .map(|finding| condition(finding, previous, object.metadata.generation, view.now))
        .collect();
    let unseen = [
        view.models.is_empty().then_some(ConditionType::QualityGate),
        view.models.is_empty().then_some(ConditionType::Adjusted),
        is_unseen(view).then_some(ConditionType::LexiconApplied),
    ];
    for type_ in unseen.into_iter().flatten().map(|type_| type_.to_string()) {
        conditions.extend(previous.iter().find(|condition| condition.type_ == type_).cloned());
    }
    let pools = object.spec.pools.iter().zip(&counts.pools);
    let pools: Vec<PoolStatus> = pools.map(|(pool, count)| pool_status(view, pool, count)).collect();
    let on_its_way =
        pools.iter().filter_map(|pool| pool.rollout.as_ref()).find(|rollout| is_under_way(rollout));
    TtsDeploymentStatus {
        observed_generation: object.metadata.generation,
        replicas: counts.pools.iter().map(|count| count.there).sum(),
        ready_replicas: counts.speaking(),
        selector: labels::selector_text(&labels::pods_selector(&object.name_any())),
        candidate: on_its_way.map_or_else(String::new, |rollout| rollout.candidate.title()),
        phase: on_its_way.map_or(RolloutPhase::Stable, |rollout| rollout.phase).to_string(),
        model: pools.first().map_or_else(String::new, PoolStatus::model_title),
        gateway: GatewayStatus { replicas: counts.gateway.there, ready: counts.gateway.ready },
        pools,
        conditions,
    }
}

impl Counts {
    fn of(view: &View<'_>) -> Self {
        let TtsDeployment { spec, .. } = view.object;
        let fleet = view.object.name_any();
        let count = |name: &str, object: String, wanted| {
            let deployment = view.deployments.iter().find(|deployment| deployment.name_any() == object);
            let unreached = view.unreached.get(name).copied().unwrap_or(0);
            Count::of(name, wanted, deployment.map(Arc::as_ref), unreached)
        };
        let pool = |pool: &Pool| {
            let wanted = pool.replicas.unwrap_or(spec.replicas);
            count(&pool.name, labels::pool_object(&fleet, &pool.name), wanted)
        };
        Self {
            pools: spec.pools.iter().map(pool).collect(),
            gateway: count(labels::GATEWAY, labels::gateway_object(&fleet), spec.gateway.replicas),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Count> {
        self.pools.iter().chain([&self.gateway])
    }

    /// Pods of all pools that serve.
    fn speaking(&self) -> i32 {
        self.pools.iter().map(|count| count.ready).sum()
    }

    fn scaled_to_zero(&self) -> bool {
        self.pools.iter().all(|count| count.wanted == 0)
    }

    fn rolling(&self) -> bool {
        self.all().any(Count::rolling)
    }

    /// How many of the pods wanted `number` says, part by part. More than that are
    /// there while pods are replaced or removed.
    fn tally(&self, number: impl Fn(&Count) -> i32) -> String {
        let part = |count: &Count| {
            let (name, wanted, number) = (&count.name, count.wanted, number(count));
            match number - wanted {
                more @ 1.. => format!("{name} {wanted} of {wanted} and {more} more"),
                _ => format!("{name} {number} of {wanted}"),
            }
        };
        self.all().map(part).collect::<Vec<_>>().join(", ")
    }
}

impl Count {
    fn of(name: &str, wanted: i32, deployment: Option<&Deployment>, unreached: i32) -> Self {
        let none = DeploymentStatus::default();
        let status = deployment.and_then(|deployment| deployment.status.as_ref()).unwrap_or(&none);
        let seen = deployment.is_some_and(|d| status.observed_generation >= d.metadata.generation);
        let brought_up = deployment_condition(status, "Progressing", "NewReplicaSetAvailable").is_some();
        Self {
            name: name.to_owned(),
            wanted,
            there: status.replicas.unwrap_or(0),
            current: status.updated_replicas.unwrap_or(0),
            ready: (status.ready_replicas.unwrap_or(0) - unreached).max(0),
            settled: seen && (brought_up || wanted == 0),
        }
    }

    fn rolling(&self) -> bool {
        !self.settled || self.current != self.wanted || self.there != self.wanted
    }
}

fn findings(view: &View<'_>, counts: &Counts) -> Vec<Finding> {
    let deployments = || view.deployments.iter().map(Arc::as_ref);
    // That a model cannot be tried is told by what becomes of its rollout.
    let serving = || deployments().filter(|deployment| !models::is_of_trial(deployment));
    let stalled = serving().find_map(|deployment| stalled(view.object, deployment));
    let refused = serving().find_map(refused);
    let ours =
        view.obstacle.iter().cloned().chain(refused).chain(view.problems.clone()).chain(stalled.clone());
    let problem = ours.clone().next();
    let degraded = degraded(ours.chain(view.trial.clone()));
    let progress = format!(
        "Pods that serve the current spec: {}.",
        counts.tally(|count| count.ready.min(count.current))
    );
    let progressing = match (&view.obstacle, stalled) {
        (Some(obstacle), _) => (false, obstacle.reason, "Waiting for the problem to be solved.".to_owned()),
        (None, Some(stalled)) => (false, stalled.reason, stalled.message),
        (None, None) if counts.rolling() => (true, Reason::RollingOut, progress.clone()),
        (None, None) => models::progressing(view)
            .unwrap_or_else(|| (false, Reason::Complete, "All pods run the current spec.".to_owned())),
    };
    let ready = ready(view, counts, problem, progress);
    let all = [ready, available(counts), progressing, degraded];
    let all = ConditionType::ALL.into_iter().zip(all).map(|(type_, (status, reason, message))| Finding {
        type_,
        status: Some(status),
        reason,
        message,
    });
    let of_models = models::quality(view).into_iter().chain(adjusted(view));
    all.chain(of_models).chain(unmarked(view.object)).chain(lexicon(view)).collect()
}

/// That objects are not as written is worth knowing, and no fault where it is meant.
fn adjusted(view: &View<'_>) -> Option<Finding> {
    let object = |adjusted: &Adjusted| {
        let Adjusted { object, fields } = adjusted;
        let more = fields.len().saturating_sub(FIELDS_TOLD);
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{object} ({}{rest})", fields[..fields.len().min(FIELDS_TOLD)].join(", "))
    };
    let objects: Vec<String> = view.adjusted.iter().map(object).collect();
    let message = format!(
        "A webhook or an admission policy of this cluster changes what is written, and the fleet runs with that: \
         {}. Have it leave these out if that is not meant.",
        objects.join(", ")
    );
    let type_ = ConditionType::Adjusted;
    let finding = Finding { type_, status: Some(true), reason: Reason::AdmissionChanges, message };
    (!objects.is_empty() && !view.models.is_empty()).then_some(finding)
}

/// Whoever turns the marking off shall know what that may cost.
fn unmarked(object: &TtsDeployment) -> Option<Finding> {
    let message = "Answers do not say that they are synthetic speech, because spec.marking.enabled is false. \
                   Law may ask for it: in the EU the AI Act, article 50, and in China GB 45438-2025. Turn it on \
                   unless something else marks the audio."
        .to_owned();
    let finding = Finding {
        type_: ConditionType::Unmarked,
        status: Some(true),
        reason: Reason::MarkingDisabled,
        message,
    };
    (!object.spec.marking.enabled).then_some(finding)
}

/// Whether there is a lexicon that was not looked at.
fn is_unseen(view: &View<'_>) -> bool {
    view.lexicon.is_none() && view.object.spec.lexicon != Lexicon::default()
}

/// Which entries are left out, and why. What is said of words does not make a fleet
/// any less ready.
fn lexicon(view: &View<'_>) -> Option<Finding> {
    let Applied { entries, trouble } = view.lexicon.as_ref()?;
    let used = match entries.len() {
        1 => "1 entry is used.".to_owned(),
        count => format!("{count} entries are used."),
    };
    let words = trouble.iter().map(|(_, words)| words.as_str());
    Some(Finding {
        type_: ConditionType::LexiconApplied,
        status: Some(trouble.is_empty()),
        reason: trouble.first().map_or(Reason::EntriesApplied, |(reason, _)| *reason),
        message: words.chain([used.as_str()]).collect::<Vec<_>>().join(" "),
    })
}

/// The worst is the reason, and hides none of the others.
fn degraded(problems: impl Iterator<Item = Problem>) -> (bool, Reason, String) {
    let mut reasons: Vec<Reason> = Vec::new();
    let mut words = String::new();
    for problem in problems {
        if !reasons.contains(&problem.reason) {
            words.push_str(if reasons.is_empty() { "" } else { " Besides: " });
            words.push_str(&problem.message);
            reasons.push(problem.reason);
        }
    }
    match reasons.first() {
        Some(reason) => (true, *reason, words),
        None => (false, Reason::AsExpected, "Nothing is wrong.".to_owned()),
    }
}

/// Whether a request can reach a pod that speaks.
fn available(counts: &Counts) -> (bool, Reason, String) {
    let serving = format!("Pods that serve: {}.", counts.tally(|count| count.ready));
    match (counts.speaking(), counts.gateway.ready) {
        (0, _) if counts.scaled_to_zero() => {
            (false, Reason::ScaledToZero, "All pools are scaled to 0.".to_owned())
        }
        (0, _) => (false, Reason::NoPodReady, format!("No pool serves. {serving}")),
        (_, 0) => (false, Reason::NoGatewayReady, format!("The gateway does not serve. {serving}")),
        _ => (true, Reason::PodsServing, serving),
    }
}

fn ready(
    view: &View<'_>,
    counts: &Counts,
    problem: Option<Problem>,
    progress: String,
) -> (bool, Reason, String) {
    let rolling = counts.rolling();
    if view.obstacle.is_none() && !rolling && counts.all().all(|count| count.ready >= count.wanted) {
        if counts.scaled_to_zero() {
            let message = "All pools are scaled to 0; nothing speaks, as asked.".to_owned();
            return (true, Reason::ScaledToZero, message);
        }
        let message = format!("All pods serve: {}.", counts.tally(|count| count.ready));
        return (true, Reason::AllPodsReady, message);
    }
    if let Some(problem) = problem {
        return (false, problem.reason, problem.message);
    }
    let reason = match (rolling, counts.speaking(), counts.gateway.ready) {
        (true, ..) => Reason::RollingOut,
        (false, 0, _) if !counts.scaled_to_zero() => Reason::NoPodReady,
        (false, _, 0) => Reason::NoGatewayReady,
        _ => Reason::SomePodsNotReady,
    };
    (false, reason, progress)
}

fn stalled(object: &TtsDeployment, deployment: &Deployment) -> Option<Problem> {
    let status = deployment.status.as_ref()?;
    let words = deployment_condition(status, "Progressing", "ProgressDeadlineExceeded")?;
    let mut message = format!("Deployment {}: {words}", deployment.name_any());
    let secret = object.spec.routing.tier_from.api_key_secret_ref.as_ref();
    if let Some(secret) = secret.filter(|_| is_gateway(deployment)) {
        // The kubelet tells only in events that a Secret is missing.
        message.push_str(&format!(" Its pods need Secret {}; check that it exists.", secret.name));
    }
    Some(Problem { reason: Reason::RolloutStalled, message, until: None })
}

fn is_gateway(deployment: &Deployment) -> bool {
    deployment.labels().get(labels::COMPONENT).is_some_and(|part| part == labels::GATEWAY)
}

pub(super) fn refused(deployment: &Deployment) -> Option<Problem> {
    let status = deployment.status.as_ref()?;
    let words = deployment_condition(status, "ReplicaFailure", "FailedCreate")?;
    let message = format!("The API server refuses the pods of Deployment {}: {words}", deployment.name_any());
    Some(Problem { reason: Reason::PodsRefused, message, until: None })
}

fn deployment_condition<'a>(status: &'a DeploymentStatus, type_: &str, reason: &str) -> Option<&'a str> {
    let mut conditions = status.conditions.iter().flatten();
    let found = conditions.find(|c| c.type_ == type_ && c.reason.as_deref() == Some(reason))?;
    Some(found.message.as_deref().unwrap_or_default())
}

fn condition(finding: Finding, previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
    let Finding { type_, status, reason, message } = finding;
    let status = match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let type_ = type_.to_string();
    let before = previous.iter().find(|condition| condition.type_ == type_ && condition.status == status);
    Condition {
        last_transition_time: before
            .map_or_else(|| whole_seconds(now), |condition| condition.last_transition_time.clone()),
        message,
        observed_generation: generation,
        reason: reason.to_string(),
        status: status.to_owned(),
        type_,
    }
}

/// The API keeps whole seconds.
fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

fn pool_status(view: &View<'_>, pool: &Pool, count: &Count) -> PoolStatus {
    let (replicas, ready) = (count.there, count.ready);
    let before = view.object.status.iter().flat_map(|status| &status.pools).find(|old| old.name == pool.name);
    match (view.models.iter().find(|models| models.pool == pool.name), before) {
        (Some(models), _) => models::pool_status(models, replicas, ready),
        (None, Some(before)) => PoolStatus { replicas, ready, ..before.clone() },
        (None, None) => PoolStatus {
            name: pool.name.clone(),
            replicas,
            ready,
            model: None,
            serving: vec![],
            rollout: None,
            history: vec![],
        },
    }
}

fn is_under_way(rollout: &RolloutStatus) -> bool {
    rollout.phase != RolloutPhase::Stable
}

#[cfg(test)]
mod tests;
