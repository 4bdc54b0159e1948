//! A fleet as a tree: its pods, what they serve, what is on its way to them and
//! what the gates say of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use ttsfleet_crds::labels::{BASELINE, GATEWAY, INFERENCE, JUDGE, SHADOW};
use ttsfleet_crds::{
    GateStatus, PoolStatus, RolloutEntry, RolloutPhase, RolloutStatus, TtsDeployment, TtsDeploymentStatus,
    Verdict,
};

use crate::history;
use crate::pods;
use crate::tree::{self, Mark, Row, marked};
use crate::words::{age, short};

/// Ended rollouts that the tree shows.
const SHOWN_ENTRIES: usize = 3;

/// The fleet as text, with colours.
pub(crate) fn render(fleet: &TtsDeployment, pods: &[Pod], now: Timestamp) -> String {
    let Some(status) = &fleet.status else {
        return format!(
            "{}: the operator has not seen it yet; does one run in this cluster?\n",
            fleet.name_any()
        );
    };
    let gateway =
        Row::new("gateway").info(format!("{} of {} ready", status.gateway.ready, status.gateway.replicas));
    let root = Row::new(format!("fleet {}", fleet.name_any()))
        .age(age(fleet.metadata.creation_timestamp.as_ref(), now))
        .info(format!("{} of {} ready", status.ready_replicas, status.replicas))
        .with([gateway.with(pods::rows(pods, GATEWAY, None, now))])
        .with(status.pools.iter().map(|pool| pool_row(pool, pods, now)));
    format!("{}\n{}", heading(status), tree::render(&[root]))
}

/// What the conditions say.
fn heading(status: &TtsDeploymentStatus) -> String {
    let mut text = String::new();
    for (kind, name) in
        [("Ready", "Fleet"), ("QualityGate", "Voice"), ("Degraded", "Trouble"), ("LexiconApplied", "Lexicon")]
    {
        let Some(condition) = status.conditions.iter().find(|condition| condition.type_ == kind) else {
            continue;
        };
        if matches!((kind, condition.status.as_str()), ("Degraded", "False") | ("LexiconApplied", "True")) {
            continue;
        }
        let said = marked(mark_of(condition), &condition.reason);
        text.push_str(&format!("{:9}{said}: {}\n", format!("{name}:"), condition.message));
    }
    text
}

fn mark_of(condition: &Condition) -> Mark {
    match (condition.type_.as_str(), condition.status.as_str()) {
        ("Degraded", _) => Mark::Bad,
        (_, "True") => Mark::Good,
        ("QualityGate" | "LexiconApplied", "False") => Mark::Bad,
        _ if ["Inconclusive", "AwaitingPromotion", "OffersLess", "Paused"]
            .contains(&condition.reason.as_str()) =>
        {
            Mark::Waiting
        }
        _ => Mark::Busy,
    }
}

fn pool_row(pool: &PoolStatus, pods: &[Pod], now: Timestamp) -> Row {
    let name = Some(pool.name.as_str());
    let row = Row::new(format!("pool {}", pool.name))
        .info(format!("{} of {} ready", pool.ready, pool.replicas))
        .with([stable_row(pool).with(pods::rows(pods, INFERENCE, name, now))]);
    let row = row.with(pool.rollout.as_ref().map(|rollout| {
        let shadow = pods::rows(pods, SHADOW, name, now);
        let baseline = pods::rows(pods, BASELINE, name, now);
        let judge = pods::rows(pods, JUDGE, name, now);
        let row = rollout_row(rollout, pool.history.first(), now);
        row.with(shadow).with(baseline).with(judge).with(findings(rollout))
    }));
    let past = history::rows(&pool.history, now).into_iter().take(SHOWN_ENTRIES);
    let past: Vec<Row> = past.collect();
    row.with((!past.is_empty()).then(|| Row::new("history").with(past)))
}

/// The model that pods are told to serve, and what they say that they serve.
fn stable_row(pool: &PoolStatus) -> Row {
    let model = pool.model_title();
    let digest = pool.model.as_ref().and_then(|model| model.digest.as_deref()).map(short);
    let served = pool.serving.iter().map(|served| {
        let pods = if served.pods == 1 { "pod serves" } else { "pods serve" };
        format!("{} {pods} {} {}", served.pods, served.model, short(&served.digest))
    });
    let served = served.collect::<Vec<_>>().join(", ");
    let info = if served.is_empty() { digest.unwrap_or_default() } else { served };
    Row::new(format!("stable {model}")).info(info)
}

fn rollout_row(rollout: &RolloutStatus, last: Option<&RolloutEntry>, now: Timestamp) -> Row {
    let model = rollout.candidate.title();
    let since = age(Some(&rollout.since), now);
    let digest = rollout.candidate.digest.as_deref().map(short).unwrap_or_default();
    let info = format!("{digest} {}", rollout.message);
    let ended = rollout.phase == RolloutPhase::Stable;
    let row = match last {
        Some(last) if ended => {
            Row::new(format!("tried {model}")).status(history::mark(&last.outcome), last.outcome.clone())
        }
        _ => Row::new(format!("candidate {model}"))
            .status(phase_mark(rollout.phase), rollout.phase.to_string()),
    };
    row.age(since).info(info.trim())
}

fn phase_mark(phase: RolloutPhase) -> Mark {
    match phase {
        RolloutPhase::Stable => Mark::Good,
        RolloutPhase::Paused => Mark::Waiting,
        RolloutPhase::Reverting => Mark::Bad,
        RolloutPhase::Staging | RolloutPhase::Shadowing | RolloutPhase::Promoting | RolloutPhase::Soaking => {
            Mark::Busy
        }
    }
}

/// How much was compared, and what the gates say.
fn findings(rollout: &RolloutStatus) -> Vec<Row> {
    if rollout.gates.is_empty() && rollout.samples == 0 {
        return vec![];
    }
    let texts = Row::new("texts").info(format!("{} of {} compared", rollout.samples, rollout.min_samples));
    std::iter::once(texts).chain(rollout.gates.iter().map(gate_row)).collect()
}

fn gate_row(gate: &GateStatus) -> Row {
    let GateStatus { name, baseline, candidate, interval, bound, .. } = gate;
    let (mark, verdict) = match gate.verdict {
        Verdict::Pass => (Mark::Good, "Pass"),
        Verdict::Fail => (Mark::Bad, "Fail"),
        Verdict::Inconclusive => (Mark::Busy, "Open"),
    };
    let info = format!("{baseline} → {candidate}, difference {interval}; {bound}");
    Row::new(format!("gate {name}")).status(mark, verdict).info(info)
}

#[cfg(test)]
mod tests;
