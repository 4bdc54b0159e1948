//! The phases in which pods of the pool serve the candidate.

use std::time::Duration;

use ttsfleet_crds::RolloutPhase;
use ttsfleet_wire::admin::Headroom;
use ttsfleet_wire::model::ModelRecord;

use super::decide::{Input, Next};
use super::gates::Bounds;
use super::pods::{self, has_candidate, is_awaited};
use super::record::{Outcome, Performance, Rollout, same_model};
use super::view::PodView;

/// How long pods that do not get on are waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// Requests, before and after, without which a soak says nothing.
const FEWEST_REQUESTS: u64 = 20;
/// A single failure is no pattern.
const FEWEST_FAILURES: u64 = 2;
/// An increase of the mean time to first audio that is never held against a
/// model, in microseconds: what a ratio of few milliseconds comes to by chance.
const NOISE_US: f64 = 50_000.0;

/// The pods swap to it, some at a time. New pods still load the old model, and
/// are swapped like the others.
pub(super) fn promoting(input: &Input<'_>, stable: &ModelRecord, rollout: &mut Rollout) -> Next {
    let all = &input.view.pods;
    if rollout.before.is_none() {
        rollout.before = Some(pods::performance(all, stable));
    }
    if let Some(words) = pods::pool_failure(all, rollout) {
        return failed(all, rollout, words);
    }
    if all.is_empty() && input.spec.replicas == 0 {
        return Next::Adopt("the pool is scaled to no pods".to_owned());
    }
    if rollout.candidate_digest.is_none() {
        rollout.candidate_digest = pods::reported_digest(all, &rollout.candidate);
    }
    let awaited: Vec<_> = all.iter().filter(|pod| is_awaited(pod, rollout)).collect();
    let swapped = awaited.iter().filter(|pod| pod.ready && has_candidate(pod, rollout)).count();
    if swapped > 0 && swapped == awaited.len() {
        return Next::Go(
            RolloutPhase::Soaking,
            "served by all pods; the old model is kept meanwhile".to_owned(),
        );
    }
    if needs_downtime(input, &awaited, swapped) {
        rollout.headway_at = None;
        return Next::Stay(Some(ONLY_POD.to_owned()));
    }
    note_headway(input, rollout, &awaited);
    let since = rollout.headway_at.map_or(Duration::ZERO, |at| input.since(rollout, at));
    if since >= patience(input, rollout, &awaited) {
        return failed(all, rollout, stuck(&awaited, rollout));
    }
    Next::Stay(Some(format!("served by {swapped} of {} pods", awaited.len())))
}

const ONLY_POD: &str = "the pool has a single pod, which cannot speak while it is swapped by DrainFirst: set \
                        rollout.swap.allowDowntime, add a pod, or take headroom: Overlap";

fn needs_downtime(input: &Input<'_>, awaited: &[&PodView], swapped: usize) -> bool {
    let swap = &input.spec.swap;
    let alone = awaited.len() == 1 && swapped == 0 && awaited.iter().all(|pod| pod.ready);
    alone && swap.headroom == Headroom::DrainFirst && !swap.allow_downtime
}

/// Taken back if a pod may have got it, rejected otherwise.
fn failed(all: &[PodView], rollout: &Rollout, words: String) -> Next {
    let reached = |pod: &PodView| {
        let loads = pod.loading().is_some_and(|model| same_model(model, &rollout.candidate));
        loads || pod.serves(&rollout.candidate)
    };
    match all.iter().any(reached) {
        true => Next::refuse(Outcome::Reverted, words),
        false => Next::refuse(Outcome::Rejected, format!("load: {words}")),
    }
}

fn note_headway(input: &Input<'_>, rollout: &mut Rollout, awaited: &[&PodView]) {
    let steps = awaited.iter().map(|pod| {
        let staged = pod.has_staged(&rollout.candidate);
        1 + usize::from(staged) + usize::from(pod.serves(&rollout.candidate))
    });
    let headway = steps.sum();
    if rollout.headway_at.is_none() || headway != rollout.headway {
        (rollout.headway, rollout.headway_at) = (headway, Some(input.view.now));
    }
}

/// Large models take long to fetch; everything else does not.
fn patience(input: &Input<'_>, rollout: &Rollout, awaited: &[&PodView]) -> Duration {
    let fetches = |pod: &&PodView| pod.status.is_some() && !pod.has_staged(&rollout.candidate);
    match awaited.iter().any(fetches) {
        true => PATIENCE.max(input.spec.shadow.deadline),
        false => PATIENCE,
    }
}

fn stuck(awaited: &[&PodView], rollout: &Rollout) -> String {
    let Some(pod) = awaited.iter().find(|pod| !(pod.ready && has_candidate(pod, rollout))) else {
        return "the pods make no headway".to_owned();
    };
    let name = &pod.name;
    match (&pod.problem, pod.status.as_ref().and_then(|status| status.task.as_ref())) {
        (Some(problem), _) => format!("pod {name} does not come round: {}", problem.message),
        (None, Some(task)) => format!("pod {name} hangs: {:?}", task.step),
        (None, None) if pod.status.is_none() => format!("pod {name} does not answer"),
        (None, None) if !pod.ready => format!("pod {name} does not become ready"),
        (None, None) => format!("pod {name} does not take it"),
    }
}

/// All pods serve it, and the old model is kept to go back to at once.
pub(super) fn soaking(input: &Input<'_>, rollout: &Rollout) -> Next {
    let (all, soak) = (&input.view.pods, input.spec.swap.soak);
    let after = pods::performance(all, &rollout.candidate);
    let worse = rollout.before.and_then(|before| worse(&before, &after, &input.spec.gates));
    if let Some(words) = pods::pool_failure(all, rollout).or(worse) {
        return Next::refuse(Outcome::Reverted, words);
    }
    if all.is_empty() && input.spec.replicas == 0 {
        return Next::Done("the pool is scaled to no pods".to_owned());
    }
    let ready = || all.iter().filter(|pod| pod.ready);
    let served = ready().filter(|pod| has_candidate(pod, rollout)).count();
    let elapsed = input.elapsed(rollout);
    if elapsed >= soak && served > 0 && served == ready().count() {
        return Next::Done(praise(rollout, &after, soak));
    }
    if elapsed >= soak + PATIENCE {
        return match ready().next() {
            None => Next::refuse(Outcome::Reverted, "no pod is ready".to_owned()),
            Some(_) => Next::Done(format!("served by {served} pods, and the others are told to follow")),
        };
    }
    Next::Stay(None)
}

fn praise(rollout: &Rollout, after: &Performance, soak: Duration) -> String {
    let asked = after.requests;
    let soaked = format!("no worse in {asked} requests of {} s", soak.as_secs());
    if asked < FEWEST_REQUESTS { rollout.message.clone() } else { soaked }
}

/// Whether there were requests enough to compare with.
pub(super) fn tells_something(performance: &Performance) -> bool {
    performance.requests >= FEWEST_REQUESTS
}

/// Whether pods do worse than before by more than the spec allows, in words.
fn worse(before: &Performance, after: &Performance, bounds: &Bounds) -> Option<String> {
    if !(tells_something(before) && tells_something(after)) {
        return None;
    }
    let share = |of: &Performance| 100.0 * of.failed as f64 / of.requests as f64;
    if after.failed >= FEWEST_FAILURES && 100.0 * least_increase(before, after) > bounds.error_points {
        return Some(format!(
            "errors: {:.1} % of {} requests failed after the swap, {:.1} % before",
            share(after),
            after.requests,
            share(before)
        ));
    }
    let mean = |of: &Performance| {
        let answered = of.requests.saturating_sub(of.failed);
        (answered >= FEWEST_REQUESTS).then(|| (of.first_audio_us as f64 / answered as f64, answered as f64))
    };
    let ((old, of_old), (new, of_new)) = (mean(before)?, mean(after)?);
    // As much as chance makes of two means whose times spread as widely as they are long.
    let chance = (Z * (1.0 / of_old + 1.0 / of_new).sqrt()).exp();
    let slower = new > old * bounds.latency_ratio * chance && new > old + NOISE_US;
    slower.then(|| {
        let (old, new) = (old / 1000.0, new / 1000.0);
        format!("latency: first audio after {new:.0} ms in the mean since the swap, {old:.0} ms before")
    })
}

/// Of a normal distribution as much lies within so many spreads as an interval
/// of 95 % is to hold.
const Z: f64 = 1.96;

/// The least increase of the share that failed which the requests show: the
/// lower end of Newcombe's interval, of which either share's is part.
fn least_increase(before: &Performance, after: &Performance) -> f64 {
    let (old, _, most_before) = wilson(before);
    let (new, least_after, _) = wilson(after);
    new - old - (new - least_after).hypot(most_before - old)
}

/// The share that failed, and Wilson's interval around it.
fn wilson(of: &Performance) -> (f64, f64, f64) {
    let n = of.requests as f64;
    let p = of.failed as f64 / n;
    let square = Z * Z / n;
    let middle = p + square / 2.0;
    let half = Z * (p * (1.0 - p) / n + square / (4.0 * n)).sqrt();
    (p, (middle - half) / (1.0 + square), (middle + half) / (1.0 + square))
}

/// The pods go back.
pub(super) fn reverting(input: &Input<'_>, stable: &ModelRecord, rollout: &Rollout) -> Next {
    let pods = &input.view.pods;
    let back = pods.iter().filter(|pod| is_back(pod, stable)).count();
    // Whoever is not back by then is brought back as part of everyday repairs.
    if back == pods.len() || input.elapsed(rollout) >= PATIENCE {
        return Next::Done(rollout.message.clone());
    }
    Next::Stay(Some(format!("{}; {back} of {} pods are back", rollout.message, pods.len())))
}

/// Whether a pod serves the old model, or will when it has started, and is not
/// about to serve another.
fn is_back(pod: &PodView, stable: &ModelRecord) -> bool {
    if pod.status.is_none() {
        return pod.problem.is_some();
    }
    !pod.turns_from(stable) && (pod.serving().is_none() || pod.serves(stable))
}
