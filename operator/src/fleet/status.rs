//! What the fleet's status says.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use ttsfleet_crds::conditions::{ConditionType, Reason};
use ttsfleet_crds::{Pool, PoolModel, PoolStatus, TtsDeployment, TtsDeploymentStatus};

use super::build::labels;

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
    /// Its Deployment, if there is one.
    pub deployment: Option<&'a Deployment>,
    /// What keeps the objects from being as they shall be.
    pub obstacle: Option<Problem>,
    /// What is wrong with the pods.
    pub pods: Option<Problem>,
    /// The time.
    pub now: Timestamp,
}

/// Pods, counted.
#[derive(Clone, Copy, Debug)]
struct Count {
    wanted: i32,
    there: i32,
    current: i32,
    ready: i32,
    /// The Deployment controller has seen the latest template and brought it
    /// up at least once.
    settled: bool,
}

/// A condition before it gets its times.
struct Finding {
    type_: ConditionType,
    status: bool,
    reason: Reason,
    message: String,
}

/// Derives the whole status.
pub fn derive(view: &View<'_>) -> TtsDeploymentStatus {
    let View { object, deployment, .. } = view;
    let count = count(object, *deployment);
    let previous = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let conditions = findings(view, count)
        .into_iter()
        .map(|finding| condition(finding, previous, object.metadata.generation, view.now))
        .collect();
    let pools = object.spec.pools.iter().map(|pool| pool_status(pool, count)).collect();
    TtsDeploymentStatus {
        observed_generation: object.metadata.generation,
        replicas: count.there,
        ready_replicas: count.ready,
        selector: labels::selector_text(&labels::fleet_selector(
            object.metadata.name.as_deref().unwrap_or_default(),
        )),
        model: object.spec.pools.first().map_or_else(String::new, model_text),
        pools,
        conditions,
    }
}

fn findings(view: &View<'_>, count: Count) -> Vec<Finding> {
    let stalled = view.deployment.and_then(stalled);
    let refused = view.deployment.and_then(refused);
    let problem = view.obstacle.clone().or(refused).or_else(|| view.pods.clone()).or_else(|| stalled.clone());
    let degraded = match &problem {
        Some(problem) => (true, problem.reason, problem.message.clone()),
        None => (false, Reason::AsExpected, "Nothing is wrong.".to_owned()),
    };
    let rolling = !count.settled || count.current != count.wanted || count.there != count.wanted;
    let progress =
        format!("{} of {} pods serve the current spec.", count.ready.min(count.current), count.wanted);
    let progressing = match (&view.obstacle, stalled) {
        (Some(obstacle), _) => (false, obstacle.reason, "Waiting for the problem to be solved.".to_owned()),
        (None, Some(stalled)) => (false, stalled.reason, stalled.message),
        (None, None) if rolling => (true, Reason::RollingOut, progress.clone()),
        (None, None) => (false, Reason::Complete, "All pods run the current spec.".to_owned()),
    };
    let available = match count {
        Count { ready: 1.., .. } => (true, Reason::PodsServing, format!("{} pods serve.", count.ready)),
        Count { wanted: 0, .. } => (false, Reason::ScaledToZero, "spec.replicas is 0.".to_owned()),
        _ => (false, Reason::NoPodReady, "No pod serves.".to_owned()),
    };
    let ready = ready(view, count, rolling, problem, progress);
    let all = [ready, available, progressing, degraded];
    ConditionType::ALL
        .into_iter()
        .zip(all)
        .map(|(type_, (status, reason, message))| Finding { type_, status, reason, message })
        .collect()
}

fn ready(
    view: &View<'_>,
    count: Count,
    rolling: bool,
    problem: Option<Problem>,
    progress: String,
) -> (bool, Reason, String) {
    if view.obstacle.is_none() && !rolling && count.ready >= count.wanted {
        return match count.wanted {
            0 => (true, Reason::ScaledToZero, "spec.replicas is 0; nothing serves, as asked.".to_owned()),
            wanted => (true, Reason::AllPodsReady, format!("All {wanted} pods serve.")),
        };
    }
    if let Some(problem) = problem {
        return (false, problem.reason, problem.message);
    }
    let reason = match (rolling, count.ready) {
        (true, _) => Reason::RollingOut,
        (false, 0) => Reason::NoPodReady,
        (false, _) => Reason::SomePodsNotReady,
    };
    (false, reason, progress)
}

fn count(object: &TtsDeployment, deployment: Option<&Deployment>) -> Count {
    let none = DeploymentStatus::default();
    let status = deployment.and_then(|deployment| deployment.status.as_ref()).unwrap_or(&none);
    let seen = deployment.is_some_and(|d| status.observed_generation >= d.metadata.generation);
    let brought_up = deployment_condition(status, "Progressing", "NewReplicaSetAvailable").is_some();
    let wanted = object.spec.replicas;
    Count {
        wanted,
        there: status.replicas.unwrap_or(0),
        current: status.updated_replicas.unwrap_or(0),
        ready: status.ready_replicas.unwrap_or(0),
        settled: seen && (brought_up || wanted == 0),
    }
}

fn stalled(deployment: &Deployment) -> Option<Problem> {
    let message =
        deployment_condition(deployment.status.as_ref()?, "Progressing", "ProgressDeadlineExceeded")?;
    Some(Problem { reason: Reason::RolloutStalled, message: message.to_owned(), until: None })
}

fn refused(deployment: &Deployment) -> Option<Problem> {
    let status = deployment.status.as_ref()?;
    let message = deployment_condition(status, "ReplicaFailure", "FailedCreate")?;
    let message = format!("The API server refuses the fleet's pods: {message}");
    Some(Problem { reason: Reason::PodsRefused, message, until: None })
}

fn deployment_condition<'a>(status: &'a DeploymentStatus, type_: &str, reason: &str) -> Option<&'a str> {
    let mut conditions = status.conditions.iter().flatten();
    let found = conditions.find(|c| c.type_ == type_ && c.reason.as_deref() == Some(reason))?;
    Some(found.message.as_deref().unwrap_or_default())
}

fn condition(finding: Finding, previous: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
    let Finding { type_, status, reason, message } = finding;
    let (type_, status) = (type_.to_string(), if status { "True" } else { "False" });
    let before = previous.iter().find(|condition| condition.type_ == type_ && condition.status == status);
    Condition {
        // The API keeps whole seconds.
        last_transition_time: before.map_or_else(
            || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
            |condition| condition.last_transition_time.clone(),
        ),
        message,
        observed_generation: generation,
        reason: reason.to_string(),
        status: status.to_owned(),
        type_,
    }
}

fn pool_status(pool: &Pool, count: Count) -> PoolStatus {
    PoolStatus {
        name: pool.name.clone(),
        replicas: count.there,
        ready: count.ready,
        model: pool.model.as_ref().map(|model| PoolModel {
            name: model.name.clone(),
            version: model.version.clone(),
            digest: model.source.digest.clone(),
        }),
    }
}

fn model_text(pool: &Pool) -> String {
    match &pool.model {
        Some(model) => format!("{}@{}", model.name, model.version),
        None => "built-in".to_owned(),
    }
}

#[cfg(test)]
mod tests;
