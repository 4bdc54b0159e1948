//! What is wrong with the pods, in words.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
};
use kube::ResourceExt;
use ttsfleet_crds::conditions::Reason;

use super::build::{CONTAINER, GATEWAY_CONTAINER, JUDGE_CONTAINER, labels};
use super::status::Problem;
use super::validate::{Fleet, FleetGpu, FleetPool};
use crate::rollout::{self, ProblemKind};

/// How long a container must have run before its last end is forgotten.
const MEMORY_OF_AN_END: SignedDuration = SignedDuration::from_mins(10);
/// How long a pod may wait for a node while others of its part serve: one that is
/// asked for takes minutes to come.
const PATIENCE_WITH_NODES: SignedDuration = SignedDuration::from_mins(5);
/// How long a pod may wait for its volumes, which take a moment.
const PATIENCE_WITH_VOLUMES: SignedDuration = SignedDuration::from_secs(20);
/// How often one that waits for longer is looked at.
const LOOK_AT_VOLUMES: Duration = Duration::from_secs(15);
const LONGEST_QUOTE: usize = 400;
/// Exit codes from here on stand for signals.
const FIRST_SIGNAL: i32 = 128;

/// What keeps pods from having their volumes, by their uids.
pub type VolumeTrouble = HashMap<String, String>;

/// The worst thing wrong with the pods. What became of those that are over is
/// told for a while, where others are missing in their place and nothing is
/// wrong with these.
pub fn diagnose(
    fleet: &Fleet,
    pods: &[Arc<Pod>],
    volumes: &VolumeTrouble,
    now: Timestamp,
) -> Option<Problem> {
    let staying = || pods.iter().filter(|pod| !is_leaving(pod));
    let ready = |part: Part<'_>| {
        let of_part =
            |pod: &&Arc<Pod>| Part::serving(fleet, pod).is_some_and(|other| other.path() == part.path());
        staying().filter(|pod| is_ready(pod) && !is_over(pod)).filter(of_part).count()
    };
    let problems = staying().filter_map(|pod| {
        let part = Part::serving(fleet, pod)?;
        let problem = examine(part, pod, volumes, now)?;
        if !is_over(pod) {
            let tells = patience_with_nodes(pod, now).is_none() || ready(part) == 0;
            return tells.then_some((false, problem));
        }
        let until = ended_at(pod).and_then(|at| at.checked_add(MEMORY_OF_AN_END).ok());
        let tells = until.is_none_or(|until| now < until) && ready(part) < part.wanted();
        tells.then_some((true, Problem { until, ..problem }))
    });
    problems
        .min_by(|(over, a), (other, b)| {
            (over, rank(a.reason), &a.message).cmp(&(other, rank(b.reason), &b.message))
        })
        .map(|(_, problem)| problem)
}

/// When a pod that waits is to be looked at again, although nothing tells that
/// it still does.
pub(super) fn next_look(pods: &[Arc<Pod>], now: Timestamp) -> Option<Duration> {
    let staying = || pods.iter().filter(|pod| !is_leaving(pod));
    let waits = staying().filter_map(|pod| scheduled_without_volumes(pod));
    let left = waits.map(|since| {
        let left = Duration::try_from(PATIENCE_WITH_VOLUMES - now.duration_since(since)).unwrap_or_default();
        if left.is_zero() { LOOK_AT_VOLUMES } else { left }
    });
    left.chain(staying().filter_map(|pod| patience_with_nodes(pod, now))).min()
}

/// For how long a pod may still wait for a node; none for one that does not, or
/// has for too long.
fn patience_with_nodes(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let status = pod.status.as_ref().filter(|_| !is_over(pod))?;
    let waits = status.conditions.iter().flatten().find(|condition| is_unschedulable(condition))?;
    let since = waits.last_transition_time.as_ref()?.0;
    let left = Duration::try_from(PATIENCE_WITH_NODES - now.duration_since(since)).ok()?;
    (!left.is_zero()).then_some(left)
}

/// Whether a pod has been waiting for its volumes for too long.
pub(super) fn waits_for_volumes(pod: &Pod, now: Timestamp) -> bool {
    scheduled_without_volumes(pod).is_some_and(|since| now.duration_since(since) >= PATIENCE_WITH_VOLUMES)
}

/// Since when a pod has a node and not yet what comes before its containers; the
/// kubelet reports that, so that a long pull of an image is told from it.
fn scheduled_without_volumes(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref().filter(|status| status.phase.as_deref() == Some("Pending"))?;
    let condition = |type_| status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
    condition("PodReadyToStartContainers").filter(|condition| condition.status == "False")?;
    let scheduled = condition("PodScheduled").filter(|condition| condition.status == "True")?;
    scheduled.last_transition_time.as_ref().map(|at| at.0)
}

/// Whether a pod takes requests.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod is being deleted.
pub(crate) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether a pod has ended for good; the cluster keeps it for a long time.
pub(crate) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// When a pod that is over ended, as far as its status tells.
fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let changed =
        status.conditions.iter().flatten().filter_map(|condition| condition.last_transition_time.as_ref());
    let states = status.container_statuses.iter().flatten().filter_map(|container| container.state.as_ref());
    let ended = states.filter_map(|state| state.terminated.as_ref()?.finished_at.as_ref());
    changed.chain(ended).chain(&status.start_time).map(|at| at.0).max()
}

/// What is wrong with one pod, be it there to serve or for a trial.
pub(crate) fn trouble(
    fleet: &Fleet,
    pod: &Pod,
    volumes: &VolumeTrouble,
    now: Timestamp,
) -> Option<rollout::Problem> {
    let part = Part::serving(fleet, pod).or_else(|| Part::of_trial(fleet, pod))?;
    let Problem { reason, message, .. } = examine(part, pod, volumes, now)?;
    let kind = match reason {
        Reason::Unschedulable => ProblemKind::Unschedulable,
        Reason::OutOfMemory | Reason::CrashLooping | Reason::ModelLoadFailed => ProblemKind::Crashed,
        _ => ProblemKind::Other,
    };
    Some(rollout::Problem { kind, message })
}

/// Lower is worse: what harms a serving pod comes before what keeps one from
/// starting.
fn rank(reason: Reason) -> u8 {
    match reason {
        Reason::OutOfMemory => 0,
        Reason::CrashLooping => 1,
        Reason::ModelLoadFailed => 2,
        Reason::ImageUnavailable => 3,
        Reason::VolumeUnavailable => 4,
        Reason::Evicted => 5,
        _ => 6,
    }
}

/// What a pod belongs to.
#[derive(Clone, Copy)]
enum Part<'a> {
    Pool(&'a FleetPool),
    Gateway(&'a Fleet),
    /// The pods of the two models that are compared.
    Shadow(&'a FleetPool),
    Judge(&'a Fleet),
}

impl<'a> Part<'a> {
    /// None for a pod of a pool that is no longer wanted, and for one that
    /// nobody's request depends on.
    fn serving(fleet: &'a Fleet, pod: &Pod) -> Option<Self> {
        if pod.labels().get(labels::COMPONENT).is_some_and(|part| part == labels::GATEWAY) {
            return Some(Self::Gateway(fleet));
        }
        let name = pod.labels().get(labels::POOL)?;
        fleet.pools.iter().find(|pool| pool.name == *name).map(Self::Pool)
    }

    /// What is there while a model is tried.
    fn of_trial(fleet: &'a Fleet, pod: &Pod) -> Option<Self> {
        let name = pod.labels().get(labels::TRIAL_OF)?;
        let pool = fleet.pools.iter().find(|pool| pool.name == *name)?;
        match pod.labels().get(labels::COMPONENT)?.as_str() {
            labels::SHADOW | labels::BASELINE => Some(Self::Shadow(pool)),
            labels::JUDGE => Some(Self::Judge(fleet)),
            _ => None,
        }
    }

    fn container(self) -> &'static str {
        match self {
            Self::Pool(_) | Self::Shadow(_) => CONTAINER,
            Self::Gateway(_) => GATEWAY_CONTAINER,
            Self::Judge(_) => JUDGE_CONTAINER,
        }
    }

    /// Pods that shall serve.
    fn wanted(self) -> usize {
        let wanted = match self {
            Self::Pool(pool) | Self::Shadow(pool) => pool.replicas,
            Self::Gateway(fleet) | Self::Judge(fleet) => fleet.gateway.replicas,
        };
        usize::try_from(wanted).unwrap_or(0)
    }

    /// Its entry in the spec.
    fn path(self) -> String {
        match self {
            // A trial's pods are of the pool's shape.
            Self::Pool(pool) | Self::Shadow(pool) => format!("spec.pools[{}]", pool.name),
            Self::Gateway(_) => "spec.gateway".to_owned(),
            Self::Judge(_) => "spec.rollout.judge".to_owned(),
        }
    }

    fn uses_gpus(self) -> bool {
        matches!(self, Self::Pool(pool) | Self::Shadow(pool) if pool.gpu != FleetGpu::None)
    }
}

fn examine(part: Part<'_>, pod: &Pod, volumes: &VolumeTrouble, now: Timestamp) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    if status.reason.as_deref() == Some("Evicted") {
        let message = format!("Pod {} was evicted: {}", pod.name_any(), quote(status.message.as_deref()));
        return Some(Problem { reason: Reason::Evicted, message, until: None });
    }
    let unschedulable = status.conditions.iter().flatten().find(|condition| is_unschedulable(condition));
    if let Some(condition) = unschedulable {
        return Some(unschedulable_problem(part, pod, condition));
    }
    if waits_for_volumes(pod, now) {
        let words = pod.metadata.uid.as_ref().and_then(|uid| volumes.get(uid));
        return volume_problem(part, pod, words.map(String::as_str));
    }
    let container =
        status.container_statuses.iter().flatten().find(|status| status.name == part.container())?;
    examine_container(part, &pod.name_any(), container, now)
}

fn is_unschedulable(condition: &PodCondition) -> bool {
    condition.type_ == "PodScheduled"
        && condition.status == "False"
        && condition.reason.as_deref() == Some("Unschedulable")
}

fn unschedulable_problem(part: Part<'_>, pod: &Pod, condition: &PodCondition) -> Problem {
    let words = quote(condition.message.as_deref());
    let path = part.path();
    let gpu = words.contains("nvidia.com/gpu");
    let advice = if let (Part::Shadow(_), true) = (part, gpu) {
        "The pods of a new model need a GPU beside those that serve: add one, share GPUs with gpu.mode: Mps, or \
         have it swapped in untested with rollout.strategy: Direct and rollout.swap.headroom: DrainFirst."
            .to_owned()
    } else if gpu {
        format!("Free a GPU, add a node that has one, or lower {path}.replicas.")
    } else if words.contains("Insufficient") {
        format!("Add a node, or lower {path}.replicas or {path}.resources.")
    } else if part.uses_gpus() && words.contains("anti-affinity") {
        "Add a node whose GPUs are shared by MPS: each pool of a fleet needs its own.".to_owned()
    } else if part.uses_gpus() && words.contains("affinity") {
        "Check that the nodes with GPUs carry the labels of GPU feature discovery for this gpu.mode."
            .to_owned()
    } else {
        format!("Check {path} against the nodes' labels and taints.")
    };
    let message = format!("Pod {} cannot be scheduled: {words} {advice}", pod.name_any());
    Problem { reason: Reason::Unschedulable, message, until: None }
}

/// Without a word of the kubelet's only what must be there is named.
fn volume_problem(part: Part<'_>, pod: &Pod, words: Option<&str>) -> Option<Problem> {
    let keys = match part {
        Part::Gateway(fleet) => fleet.gateway.api_keys.as_deref(),
        _ => None,
    };
    let advice = match keys {
        Some(secret) => format!(
            "Its pods need Secret {secret}: make it, or name another in spec.routing.tierFrom.apiKeySecretRef."
        ),
        None => format!("Make what is missing, or change {}.", part.path()),
    };
    let words = match (words, keys) {
        (Some(words), _) => format!(": {}", quote(Some(words)).trim_end_matches('.')),
        (None, Some(_)) => String::new(),
        (None, None) => return None,
    };
    let message = format!("Pod {} waits for a volume{words}. {advice}", pod.name_any());
    Some(Problem { reason: Reason::VolumeUnavailable, message, until: None })
}

fn examine_container(part: Part<'_>, pod: &str, status: &ContainerStatus, now: Timestamp) -> Option<Problem> {
    let none = ContainerState::default();
    let (state, last) = (status.state.as_ref().unwrap_or(&none), status.last_state.as_ref().unwrap_or(&none));
    let end = state.terminated.as_ref().or(last.terminated.as_ref());
    let started = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    // Known only while the container runs: otherwise its end is still fresh.
    let until = started.and_then(|at| at.0.checked_add(MEMORY_OF_AN_END).ok());
    let fresh = until.is_none_or(|until| now < until);
    if let Some(end) = end.filter(|end| is_out_of_memory(end) && fresh) {
        return Some(Problem { until, ..out_of_memory(part, pod, status, end) });
    }
    let waiting = state.waiting.as_ref();
    let waits_for = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    if cannot_start(waits_for) {
        let words = quote(waiting.and_then(|waiting| waiting.message.as_deref()));
        let message = format!("Pod {pod} cannot start its container ({waits_for}): {words}");
        return Some(Problem { reason: Reason::ImageUnavailable, message, until: None });
    }
    // A server that has come back and serves is well again.
    end.filter(|end| end.exit_code != 0 && !status.ready).map(|end| ended(part, pod, status, end))
}

fn cannot_start(waits_for: &str) -> bool {
    const REASONS: [&str; 7] = [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ];
    REASONS.contains(&waits_for)
}

fn is_out_of_memory(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some("OOMKilled")
}

fn out_of_memory(
    part: Part<'_>,
    pod: &str,
    status: &ContainerStatus,
    end: &ContainerStateTerminated,
) -> Problem {
    let at = end.finished_at.as_ref().map_or_else(String::new, |at| format!(" at {}", at.0));
    let path = part.path();
    let (memory, or) = match part {
        Part::Pool(pool) | Part::Shadow(pool) => (pool.memory, format!(", or lower {path}.capacity.workers")),
        Part::Gateway(fleet) => (fleet.gateway.memory, String::new()),
        Part::Judge(fleet) => (fleet.rollout.judge_memory, String::new()),
    };
    let message = format!(
        "Pod {pod} was killed{at} because it needed more memory than its {memory} (restarts: {}). Raise \
         {path}.resources.memory{or}.",
        status.restart_count
    );
    Problem { reason: Reason::OutOfMemory, message, until: None }
}

/// A server that ends by itself leaves word only when it cannot load its model.
fn ended(part: Part<'_>, pod: &str, status: &ContainerStatus, end: &ContainerStateTerminated) -> Problem {
    let words = end.message.as_deref().map(str::trim).filter(|words| !words.is_empty());
    let by_itself = end.exit_code < FIRST_SIGNAL;
    if let (Part::Pool(pool) | Part::Shadow(pool), Some(words), true) = (part, words, by_itself) {
        let message = format!(
            "Pod {pod} could not load the model of pool {} (restarts: {}): {}",
            pool.name,
            status.restart_count,
            quote(Some(words))
        );
        return Problem { reason: Reason::ModelLoadFailed, message, until: None };
    }
    let said = words.map_or_else(|| "it left no message; see its log".to_owned(), |words| quote(Some(words)));
    let message = format!(
        "Pod {pod} ended with exit code {} (restarts: {}): {said}",
        end.exit_code, status.restart_count
    );
    Problem { reason: Reason::CrashLooping, message, until: None }
}

/// Text from outside, short enough and on one line.
fn quote(text: Option<&str>) -> String {
    let text = text.unwrap_or_default().trim();
    let mut line: String =
        text.chars().take(LONGEST_QUOTE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LONGEST_QUOTE {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests;
