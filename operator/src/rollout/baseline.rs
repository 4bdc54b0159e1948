//! What a candidate is compared with: fresh pods with the stable model, or the
//! pods that serve.

use ttsfleet_wire::model::ModelRecord;

use super::decide::Input;
use super::view::PoolSpec;
use super::{pods, trial};

/// What is still missing of it, in words.
pub(super) fn missing(input: &Input<'_>, stable: &ModelRecord) -> Option<String> {
    let Some(served) = pods::reported_digest(&input.view.pods, stable) else {
        return Some("no pod of the pool is ready to be compared with".to_owned());
    };
    if !input.spec.fresh_baseline {
        return None;
    }
    let fresh = &input.view.baseline;
    let title = stable.title();
    if let Some(loaded) = pods::reported_digest(fresh, stable) {
        // A source without a digest may hold something else by now.
        return (loaded != served).then(|| {
            format!("{title} as it comes from its source now is {loaded}, and the pods serve {served}")
        });
    }
    let failed = fresh.iter().find_map(|pod| {
        let error = pod.failure_of(stable).map(|error| pods::quote(&error.message));
        error.or_else(|| pod.problem.as_ref().map(|problem| problem.message.clone()))
    });
    let why = failed.or_else(|| trial::trouble(fresh));
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    Some(format!("{title} is not loaded yet in fresh pods to compare it with{why}"))
}

/// What is to be said of the times where they are compared with pods that serve.
pub(super) fn caveat(spec: &PoolSpec) -> &'static str {
    match spec.fresh_baseline {
        true => "",
        false => " (times are compared with pods that serve callers, too)",
    }
}
