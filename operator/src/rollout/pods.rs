//! What can be said of pods.

use ttsfleet_wire::admin::{LoadedModel, ModelError, Step};
use ttsfleet_wire::model::ModelRecord;

use super::record::{Performance, Rollout, Seen, pinned, same_model};
use super::view::{PodView, ProblemKind};

/// Crashes from which a model is held to be their cause; one may be bad luck.
pub(super) const CRASHES: u32 = 2;
/// Characters of a pod's words that are passed on.
const LONGEST_QUOTE: usize = 400;

impl PodView {
    pub(super) fn serving(&self) -> Option<&LoadedModel> {
        self.status.as_ref()?.serving.as_ref()
    }

    pub(super) fn serves(&self, model: &ModelRecord) -> bool {
        self.serving().is_some_and(|loaded| same_model(&loaded.record, model))
    }

    /// Whether the model that it would go back to is this one.
    pub(super) fn keeps(&self, model: &ModelRecord) -> bool {
        let previous = self.status.as_ref().and_then(|status| status.previous.as_ref());
        previous.is_some_and(|loaded| same_model(&loaded.record, model))
    }

    pub(super) fn has_staged(&self, model: &ModelRecord) -> bool {
        let staged = self.status.iter().flat_map(|status| &status.staged);
        self.serves(model) || staged.into_iter().any(|record| same_model(record, model))
    }

    /// The model that it is about to serve. What it does with a model that is in
    /// its store already is more than fetching.
    pub(super) fn loading(&self) -> Option<&ModelRecord> {
        let status = self.status.as_ref()?;
        let task = status.task.as_ref()?;
        let in_store = status.staged.iter().any(|record| same_model(record, &task.record));
        (task.step != Step::Staging || in_store).then_some(&task.record)
    }

    /// The model that it is fetching.
    pub(super) fn fetching(&self) -> Option<&ModelRecord> {
        let task = self.status.as_ref()?.task.as_ref()?;
        self.loading().is_none().then_some(&task.record)
    }

    /// Whether it is about to serve another model than this.
    pub(super) fn turns_from(&self, model: &ModelRecord) -> bool {
        self.loading().is_some_and(|other| !same_model(other, model))
    }

    /// A failure of this model that does not go away by waiting.
    pub(super) fn failure_of(&self, model: &ModelRecord) -> Option<&ModelError> {
        let error = self.status.as_ref()?.error.as_ref()?;
        (!error.transient && same_model(&error.record, model)).then_some(error)
    }

    pub(super) fn has(&self, kind: ProblemKind) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.kind == kind)
    }

    /// Its problem in words.
    pub(super) fn words(&self) -> &str {
        self.problem.as_ref().map_or("it left no message; see its log", |problem| &problem.message)
    }

    /// What it has behind it.
    fn seen(&self, candidate: &ModelRecord) -> Seen {
        Seen {
            ready: self.ready,
            restarts: self.restarts,
            failed_loads: self.status.as_ref().map_or(0, |status| status.failed_loads),
            error: self.failure_of(candidate).is_some(),
        }
    }
}

/// What every pod has behind it.
pub(super) fn seen(pods: &[PodView], candidate: &ModelRecord) -> std::collections::BTreeMap<String, Seen> {
    pods.iter().map(|pod| (pod.uid.clone(), pod.seen(candidate))).collect()
}

/// The digest that the candidate must have: as pinned, or as first reported.
pub(super) fn expected_digest(rollout: &Rollout) -> Option<&str> {
    pinned(&rollout.candidate).or(rollout.candidate_digest.as_deref())
}

/// What a pod reports of this model, if it serves it and is ready.
pub(super) fn reported<'a>(pods: &'a [PodView], model: &ModelRecord) -> Option<&'a LoadedModel> {
    pods.iter().find(|pod| pod.ready && pod.serves(model))?.serving()
}

/// The digest that it reports.
pub(super) fn reported_digest(pods: &[PodView], model: &ModelRecord) -> Option<String> {
    reported(pods, model).map(|loaded| loaded.digest.clone())
}

/// Whether a pod serves the candidate, to the byte.
pub(super) fn has_candidate(pod: &PodView, rollout: &Rollout) -> bool {
    let right = |digest: &str| expected_digest(rollout).is_none_or(|expected| expected == digest);
    pod.serves(&rollout.candidate) && pod.serving().is_some_and(|loaded| right(&loaded.digest))
}

/// Pods that a promotion waits for: those that take requests or did when it
/// began, and those that have come since.
pub(super) fn is_awaited(pod: &PodView, rollout: &Rollout) -> bool {
    let was_ready = rollout.seen.get(&pod.uid).is_none_or(|seen| seen.ready);
    pod.ready || (was_ready && !pod.has(ProblemKind::Unschedulable))
}

/// What is wrong with the candidate in a shadow pod.
pub(super) fn shadow_failure(pods: &[PodView], rollout: &Rollout) -> Option<String> {
    let none = Seen::default();
    pods.iter().find_map(|pod| {
        let crashed = pod.restarts >= CRASHES;
        failed_load(pod, rollout, &none).or_else(|| wrong_digest(pod, rollout)).or_else(|| {
            crashed.then(|| format!("pod {} ended {} times: {}", pod.name, pod.restarts, pod.words()))
        })
    })
}

/// What is wrong with the candidate in the pool's pods.
pub(super) fn pool_failure(pods: &[PodView], rollout: &Rollout) -> Option<String> {
    let none = Seen { ready: true, ..Seen::default() };
    pods.iter().find_map(|pod| {
        let seen = rollout.seen.get(&pod.uid).unwrap_or(&none);
        let times = pod.restarts.saturating_sub(seen.restarts);
        let crashed = seen.ready && !pod.ready && times >= CRASHES;
        failed_load(pod, rollout, seen)
            .or_else(|| wrong_digest(pod, rollout))
            .or_else(|| crashed.then(|| format!("pod {} ended {times} times: {}", pod.name, pod.words())))
    })
}

/// What is wrong with the candidate in the pool's pods while they only fetch it.
pub(super) fn fetch_failure(pods: &[PodView], rollout: &Rollout) -> Option<String> {
    let none = Seen::default();
    pods.iter().find_map(|pod| failed_load(pod, rollout, rollout.seen.get(&pod.uid).unwrap_or(&none)))
}

fn failed_load(pod: &PodView, rollout: &Rollout, seen: &Seen) -> Option<String> {
    let error = pod.failure_of(&rollout.candidate)?;
    let failed = pod.status.as_ref().map_or(0, |status| status.failed_loads);
    let fresh = !seen.error || failed > seen.failed_loads;
    fresh.then(|| format!("pod {}: {}", pod.name, quote(&error.message)))
}

fn wrong_digest(pod: &PodView, rollout: &Rollout) -> Option<String> {
    let found = &pod.serving().filter(|loaded| same_model(&loaded.record, &rollout.candidate))?.digest;
    let expected = expected_digest(rollout).filter(|expected| expected != found)?;
    Some(format!("pod {} serves {found} under its name, not {expected}", pod.name))
}

/// What pods have made of their requests with a model, all together; what they
/// made of it before they were swapped counts where they still know.
pub(super) fn performance(pods: &[PodView], model: &ModelRecord) -> Performance {
    let mut sum = Performance::default();
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref());
    let loaded = statuses.flat_map(|status| status.serving.iter().chain(&status.previous));
    for loaded in loaded.filter(|loaded| same_model(&loaded.record, model)) {
        sum.requests += loaded.served.requests;
        sum.failed += loaded.served.failed;
        sum.first_audio_us += loaded.served.first_audio_us;
    }
    sum
}

/// What a pod says, short enough for a record and on one line.
pub(super) fn quote(text: &str) -> String {
    let mut line: String =
        text.trim().chars().take(LONGEST_QUOTE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.trim().chars().count() > LONGEST_QUOTE {
        line.push('…');
    }
    line
}
