//! What people have to say in a rollout: whether there is anything to say, what
//! is written on the fleet, and what follows. The operator reads the
//! annotations; each has its effect once.

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;
use kube::ResourceExt;
use ttsfleet_crds::{
    ABORT_ANNOTATION, BUILT_IN, PROMOTE_ANNOTATION, PoolStatus, RETRY_ANNOTATION, RolloutPhase,
    RolloutStatus, TtsDeployment,
};

/// A word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Swap a candidate in that waits.
    Promote,
    /// Call a rollout off.
    Abort,
    /// Try a model once more that was refused, or got no clear answer.
    Retry,
}

/// What is written, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The annotation's value.
    pub(crate) value: String,
    /// In words.
    pub(crate) follows: String,
}

impl Verb {
    /// The annotation that carries it.
    pub(crate) fn annotation(self) -> &'static str {
        match self {
            Self::Promote => PROMOTE_ANNOTATION,
            Self::Abort => ABORT_ANNOTATION,
            Self::Retry => RETRY_ANNOTATION,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }
}

/// What to write so that a command has its effect in one pool.
pub(crate) fn plan(verb: Verb, fleet: &TtsDeployment, pool: Option<&str>, now: Timestamp) -> Result<Plan> {
    let chosen = choose(verb, fleet, pool)?;
    // The time tells the command from the same one given earlier.
    let word = format!("{}/{}/{now:.0}", chosen.pool, chosen.model);
    let before = fleet.annotations().get(verb.annotation()).map(String::as_str).unwrap_or_default();
    // What was said about other pools may not have been read yet.
    let others = before.split(',').map(str::trim);
    let others = others.filter(|word| !word.is_empty() && word.split('/').next() != Some(chosen.pool));
    let value = others.chain([word.as_str()]).collect::<Vec<_>>().join(",");
    Ok(Plan { value, follows: chosen.follows })
}

/// The pool that a command is about, its model, and what follows.
struct Chosen<'a> {
    pool: &'a str,
    model: String,
    follows: String,
}

fn choose<'a>(verb: Verb, fleet: &'a TtsDeployment, pool: Option<&str>) -> Result<Chosen<'a>> {
    let name = fleet.name_any();
    let status =
        fleet.status.as_ref().ok_or_else(|| anyhow!("the operator has not seen the fleet {name} yet"))?;
    if status.observed_generation != fleet.metadata.generation {
        bail!("the operator has not seen the newest change of the fleet {name} yet; try again in a moment");
    }
    let mut possible = Vec::new();
    let mut refusals = Vec::new();
    for found in status.pools.iter().filter(|found| pool.is_none_or(|pool| pool == found.name)) {
        match effect(verb, fleet, found) {
            Ok((model, follows)) => possible.push(Chosen { pool: &found.name, model, follows }),
            Err(refusal) => refusals.push(format!("pool {}: {refusal}", found.name)),
        }
    }
    if possible.len() > 1 {
        let names: Vec<&str> = possible.iter().map(|chosen| chosen.pool).collect();
        bail!("say which pool to {} with --pool: {}", verb.name(), names.join(" or "));
    }
    match (possible.pop(), pool) {
        (Some(chosen), _) => Ok(chosen),
        (None, Some(pool)) if refusals.is_empty() => bail!("the fleet {name} has no pool {pool}"),
        _ => bail!("nothing to {} in the fleet {name}: {}", verb.name(), refusals.join("; ")),
    }
}

/// The model that a command would be about and what would follow, or why
/// nothing would.
fn effect(verb: Verb, fleet: &TtsDeployment, pool: &PoolStatus) -> Result<(String, String), String> {
    match verb {
        Verb::Promote => promote(fleet, pool),
        Verb::Abort => abort(fleet, pool),
        Verb::Retry => retry(fleet, pool),
    }
}

fn promote(fleet: &TtsDeployment, pool: &PoolStatus) -> Result<(String, String), String> {
    let rollout = under_way(pool)?;
    let (phase, model) = (rollout.phase, rollout.candidate.title());
    let soak = &fleet.spec.rollout.swap.soak;
    match phase {
        _ if fleet.spec.rollout.paused => Err(held_by_the_spec(&model)),
        RolloutPhase::Paused => Ok((
            model.clone(),
            format!(
                "The pods of pool {} swap to {model} now, some at a time, while they serve. The old model is kept \
                 for {soak}, to go back to if the new one does worse.",
                pool.name
            ),
        )),
        RolloutPhase::Staging | RolloutPhase::Shadowing => Err(format!(
            "{model} is still being tried ({phase}); it can be promoted once it waits for it. To swap models in \
             untested, set spec.rollout.strategy: Direct"
        )),
        RolloutPhase::Promoting | RolloutPhase::Soaking => {
            Err(format!("{model} has been let in already ({phase})"))
        }
        RolloutPhase::Reverting | RolloutPhase::Stable => Err(format!("{model} is on its way out ({phase})")),
    }
}

fn abort(fleet: &TtsDeployment, pool: &PoolStatus) -> Result<(String, String), String> {
    let rollout = under_way(pool)?;
    let (phase, model) = (rollout.phase, rollout.candidate.title());
    let stable = pool.model_title();
    let again = "It is not tried again until the spec has named another model, or you say `retry`.";
    match phase {
        // The spec holds a rollout wherever it is, also halfway through its swaps.
        RolloutPhase::Paused if fleet.spec.rollout.paused => Ok((
            model.clone(),
            format!(
                "The rollout of {model} ends. Pods of pool {} that have swapped to it go back to the model they had \
                 before; the others keep theirs. {again}",
                pool.name
            ),
        )),
        RolloutPhase::Staging | RolloutPhase::Shadowing | RolloutPhase::Paused => Ok((
            model.clone(),
            format!("The trial of {model} ends. Pool {} keeps serving {stable}. {again}", pool.name),
        )),
        RolloutPhase::Promoting | RolloutPhase::Soaking => Ok((
            model.clone(),
            format!("The pods of pool {} go back to the model they had before {model}. {again}", pool.name),
        )),
        RolloutPhase::Reverting | RolloutPhase::Stable => Err(format!("{model} is on its way out already")),
    }
}

fn retry(fleet: &TtsDeployment, pool: &PoolStatus) -> Result<(String, String), String> {
    match under_way(pool) {
        Ok(rollout) => retry_held(fleet, pool, rollout),
        Err(_) => retry_refused(fleet, pool),
    }
}

/// A candidate that waits is tried again unless it waits for a promotion; the
/// spec's own hold keeps it from that as from everything.
fn retry_held(
    fleet: &TtsDeployment,
    pool: &PoolStatus,
    rollout: &RolloutStatus,
) -> Result<(String, String), String> {
    let (phase, model) = (rollout.phase, rollout.candidate.title());
    if phase != RolloutPhase::Paused {
        return Err(format!("{model} is being tried right now ({phase})"));
    }
    if fleet.spec.rollout.paused {
        return Err(held_by_the_spec(&model));
    }
    if rollout.awaits_promotion() {
        return Err(format!("{model} waits to be let in; say `promote` or `abort`"));
    }
    let follows = tried_again(&model, pool);
    Ok((model, follows))
}

fn retry_refused(fleet: &TtsDeployment, pool: &PoolStatus) -> Result<(String, String), String> {
    let Some(last) = pool.history.first() else {
        return Err("no model has been tried yet".to_owned());
    };
    let wanted =
        fleet.spec.pools.iter().find(|spec| spec.name == pool.name).and_then(|spec| spec.model.as_ref());
    let wanted =
        wanted.map_or_else(|| BUILT_IN.to_owned(), |model| format!("{}@{}", model.name, model.version));
    if !["Rejected", "Reverted", "Aborted"].contains(&last.outcome.as_str()) {
        return Err(format!("{} was not refused ({})", last.model, last.outcome));
    }
    if wanted != last.model {
        return Err(format!(
            "{} was refused, but the spec names {wanted} now; name it there again",
            last.model
        ));
    }
    let follows = tried_again(&wanted, pool);
    Ok((wanted, follows))
}

fn tried_again(model: &str, pool: &PoolStatus) -> String {
    format!("{model} is tried once more in pool {}, from the beginning.", pool.name)
}

fn held_by_the_spec(model: &str) -> String {
    format!("spec.rollout.paused holds {model}; set it to false to let the rollout go on")
}

/// The rollout under way.
fn under_way(pool: &PoolStatus) -> Result<&RolloutStatus, String> {
    let rollout = pool.rollout.as_ref().filter(|rollout| rollout.phase != RolloutPhase::Stable);
    rollout.ok_or_else(|| format!("no rollout is under way; it serves {}", pool.model_title()))
}

#[cfg(test)]
mod tests;
