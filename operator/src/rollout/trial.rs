//! The phases before any pod of the pool serves the candidate.

use ttsfleet_crds::{AWAITS_PROMOTION, Promotion, RolloutPhase};
use ttsfleet_wire::model::ModelRecord;

use super::baseline;
use super::decide::{Input, Next};
use super::gates::{self, Findings};
use super::pods;
use super::record::{Hold, Outcome, Rollout};
use super::view::{PodView, PoolView, ProblemKind};

/// The candidate is loaded in the shadow, and the stable model in fresh pods beside
/// it; without a comparison, the candidate is fetched by the pool's pods.
pub(super) fn staging(input: &Input<'_>, stable: &ModelRecord, rollout: &mut Rollout) -> Next {
    if !rollout.tested {
        return staging_untested(input, rollout);
    }
    let shadow = &input.view.shadow;
    if let Some(words) = pods::shadow_failure(shadow, rollout) {
        return Next::refuse(Outcome::Rejected, format!("load: {words}"));
    }
    let loaded = pods::reported_digest(shadow, &rollout.candidate);
    if input.is_broken(rollout) && (loaded.is_some() || unschedulable(shadow).is_some()) {
        return let_through(input, rollout, NOBODY_LEFT);
    }
    let missing = baseline::missing(input, stable);
    let baseline = pods::reported_digest(&input.view.pods, stable);
    if let (Some(_), Some(_), None) = (&loaded, &baseline, &missing) {
        (rollout.candidate_digest, rollout.baseline_digest) = (loaded, baseline);
        return Next::Go(RolloutPhase::Shadowing, "loaded, and now compared".to_owned());
    }
    let why = match missing.filter(|_| loaded.is_some()) {
        Some(missing) => format!("loaded in the shadow; {missing}"),
        None => loading(input, rollout),
    };
    if input.elapsed(rollout) >= input.spec.shadow.deadline {
        return overdue(input, &why, loaded.is_some());
    }
    Next::Stay(Some(why))
}

const NOBODY_LEFT: &str =
    "no pod of the pool is ready, so that there is nothing to compare it with and nobody to spare it";

fn staging_untested(input: &Input<'_>, rollout: &Rollout) -> Next {
    let pods = &input.view.pods;
    if let Some(words) = pods::fetch_failure(pods, rollout) {
        return Next::refuse(Outcome::Rejected, format!("load: {words}"));
    }
    if input.is_down(rollout) {
        return let_through(input, rollout, NOBODY_LEFT);
    }
    let ready = || pods.iter().filter(|pod| pod.ready);
    let staged = ready().filter(|pod| pod.has_staged(&rollout.candidate)).count();
    if staged > 0 && staged == ready().count() {
        return let_through(input, rollout, "fetched by the pods; the spec asks for no comparison");
    }
    if input.elapsed(rollout) >= input.spec.shadow.deadline {
        let trouble = trouble(pods).unwrap_or_else(|| "the pods do not say why".to_owned());
        let deadline = input.spec.shadow.deadline.as_secs();
        let message = format!("not fetched within {deadline} s: {trouble}; {WHAT_NOW}");
        return Next::Hold(Hold::Inconclusive, message);
    }
    let words = format!("fetched by {staged} of {} pods", ready().count());
    Next::Stay(Some(with_trouble(words, trouble(pods))))
}

const WHAT_NOW: &str =
    "see to that and retry it, promote it nevertheless, abort it, or name another model in the spec";

/// It could not be loaded in time: its own fault where it hangs, nobody's where
/// it could not be fetched or found no place.
fn overdue(input: &Input<'_>, why: &str, loaded: bool) -> Next {
    let (shadow, deadline) = (&input.view.shadow, input.spec.shadow.deadline.as_secs());
    if let Some(words) = no_place(input.view) {
        let message = format!("no place to run within {deadline} s: {words}; {WHAT_NOW}");
        return Next::Hold(Hold::ShadowUnschedulable, message);
    }
    let hangs = |pod: &&PodView| {
        !pod.has(ProblemKind::Other)
            && pod.fetching().is_none()
            && trouble(std::slice::from_ref(pod)).is_none()
    };
    if let Some(pod) = shadow.iter().find(hangs).filter(|_| !loaded) {
        let at = match pod.loading() {
            Some(_) => "it hangs while it loads",
            None => "it does not say what it waits for",
        };
        let message = format!("load: pod {} was not ready within {deadline} s: {at}", pod.name);
        return Next::refuse(Outcome::Rejected, message);
    }
    Next::Hold(Hold::Inconclusive, format!("not compared within {deadline} s: {why}; {WHAT_NOW}"))
}

/// How far the shadow is.
fn loading(input: &Input<'_>, rollout: &Rollout) -> String {
    let shadow = &input.view.shadow;
    if let Some(problem) = shadow.iter().find_map(|pod| pod.problem.as_ref()) {
        return format!("not loaded in the shadow yet: {}", problem.message);
    }
    let task = shadow.iter().find_map(|pod| pod.status.as_ref()?.task.as_ref());
    let words = match task {
        Some(task) if task.bytes_total > 0 => format!(
            "{:?} in the shadow ({} of {} MB in its store)",
            task.step,
            task.bytes_done / 1_000_000,
            task.bytes_total / 1_000_000
        ),
        Some(task) => format!("{:?} in the shadow", task.step),
        None => rollout.message.clone(),
    };
    with_trouble(words, trouble(shadow))
}

fn with_trouble(words: String, trouble: Option<String>) -> String {
    match trouble {
        Some(trouble) => format!("{words}; trying again: {trouble}"),
        None => words,
    }
}

/// What goes wrong and is tried again.
pub(super) fn trouble(from: &[PodView]) -> Option<String> {
    let mut statuses = from.iter().filter_map(|pod| pod.status.as_ref());
    statuses.find_map(|status| {
        let trouble = status.task.as_ref().and_then(|task| task.trouble.as_deref());
        let error = status.error.as_ref().filter(|error| error.transient);
        trouble.or_else(|| error.map(|error| error.message.as_str())).map(pods::quote)
    })
}

/// Pods of either model that find no place to run, in words.
pub(super) fn no_place(view: &PoolView) -> Option<&str> {
    unschedulable(&view.shadow).or_else(|| unschedulable(&view.baseline))
}

fn unschedulable(pods: &[PodView]) -> Option<&str> {
    let all = !pods.is_empty() && pods.iter().all(|pod| pod.has(ProblemKind::Unschedulable));
    pods.first().filter(|_| all).map(PodView::words)
}

/// It is compared with the stable model.
pub(super) fn shadowing(input: &Input<'_>, rollout: &mut Rollout) -> Next {
    let findings = findings(input, rollout);
    let next = verdict(input, rollout, findings.as_ref());
    if let (Some(findings), false) = (findings, matches!(next, Next::Stay(_))) {
        (rollout.samples, rollout.gates) = (findings.samples, findings.gates);
    }
    next
}

fn findings(input: &Input<'_>, rollout: &Rollout) -> Option<Findings> {
    let report = input.view.report.as_ref().filter(|report| report.session == rollout.trial)?;
    Some(gates::examine(report, &input.spec.gates))
}

fn verdict(input: &Input<'_>, rollout: &Rollout, findings: Option<&Findings>) -> Next {
    if let Some(words) = pods::shadow_failure(&input.view.shadow, rollout) {
        return Next::refuse(Outcome::Rejected, format!("errors: {words}"));
    }
    if let Some(findings) = findings.filter(|findings| !findings.failures.is_empty()) {
        return Next::refuse(Outcome::Rejected, findings.failures.join("; "));
    }
    let aim = u64::from(input.spec.shadow.min_samples);
    let samples = findings.map_or(0, |findings| findings.samples);
    if samples >= aim && findings.is_some_and(Findings::pass) {
        let words = format!("passed every gate in {samples} texts{}", baseline::caveat(input.spec));
        return let_through(input, rollout, &words);
    }
    if input.is_broken(rollout) {
        return let_through(input, rollout, NOBODY_LEFT);
    }
    let caveat = baseline::caveat(input.spec);
    let words = format!("{samples} of {aim} texts compared{caveat}{}", obstacles(input, findings));
    if input.elapsed(rollout) >= input.spec.shadow.deadline {
        let message =
            format!("no clear answer within {} s: {words}; {WHAT_NOW}", input.spec.shadow.deadline.as_secs());
        return Next::Hold(Hold::Inconclusive, message);
    }
    Next::Stay(Some(words))
}

const REPEATED: &str = "which count once: give others in rollout.shadow.promptsFrom";

/// What the comparison wants for.
fn obstacles(input: &Input<'_>, findings: Option<&Findings>) -> String {
    let mut words = String::new();
    if let Some(findings) = findings.filter(|findings| !findings.pass()) {
        words.push_str(&format!("; undecided: {}", findings.undecided()));
    }
    if let Some(report) = input.view.report.as_ref().filter(|report| report.repeated > report.samples) {
        words.push_str(&format!("; {} more pairs repeat these texts, {REPEATED}", report.repeated));
    }
    let problem = |pods: &'_ [PodView]| {
        let problem = pods.iter().find_map(|pod| pod.problem.as_ref());
        problem.map(|problem| problem.message.clone())
    };
    let trouble = input.view.report.as_ref().and_then(|report| report.trouble.clone());
    let judge = input.view.judge_problem.clone().or(trouble);
    let parts = [
        ("shadow", problem(&input.view.shadow)),
        ("baseline", problem(&input.view.baseline)),
        ("judge", judge),
    ];
    for (who, what) in parts {
        if let Some(what) = what {
            words.push_str(&format!("; {who}: {what}"));
        }
    }
    words
}

/// Nothing stands against it any more.
fn let_through(input: &Input<'_>, rollout: &Rollout, words: &str) -> Next {
    let told = input.told(&input.commands.promote, rollout);
    // While nobody hears the pool, nothing is taken from anybody.
    if !rollout.missing.is_empty() && !told && !input.is_down(rollout) {
        let missing = rollout.missing.join(", ");
        let message = format!(
            "{words}, but callers may ask for {missing}, and could no longer; promote it by hand if that is meant, \
             abort it, or name another model in the spec"
        );
        return Next::Hold(Hold::OffersLess, message);
    }
    if input.spec.promotion == Promotion::Manual && !told {
        return Next::Hold(Hold::AwaitingPromotion, format!("{words}; {AWAITS_PROMOTION}"));
    }
    advance(input, rollout, words.to_owned())
}

fn advance(input: &Input<'_>, rollout: &Rollout, words: String) -> Next {
    if input.is_down(rollout) { Next::Adopt(words) } else { Next::Go(RolloutPhase::Promoting, words) }
}

/// It waits for somebody.
pub(super) fn held(input: &Input<'_>, rollout: &Rollout) -> Next {
    let passed = rollout.hold == Some(Hold::AwaitingPromotion);
    if input.told(&input.commands.promote, rollout) {
        return advance(input, rollout, format!("promoted by hand ({})", rollout.message));
    }
    if passed && input.spec.promotion == Promotion::Automatic {
        return advance(input, rollout, "the spec no longer asks for a promotion by hand".to_owned());
    }
    if !passed && input.told(&input.commands.retry, rollout) {
        return Next::Go(RolloutPhase::Staging, "tried once more".to_owned());
    }
    Next::Stay(None)
}
