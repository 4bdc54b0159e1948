//! What the gateway is told, from what the spec says.

use ttsfleet_crds::{
    Api, Limits, OnExhausted, OnOverflow, Quota, Resilience, Routing, STANDARD_TIER, TierFrom,
    TtsDeploymentSpec,
};
use ttsfleet_wire::{lexicon::Lexicon, names::Aliases, route};

use super::duration::milliseconds;
use super::{FleetPool, Invalid};
use crate::fleet::build::labels;

/// The fleet's routes.
pub(super) fn table(
    fleet: &str,
    spec: &TtsDeploymentSpec,
    pools: &[FleetPool],
) -> Result<route::RouteTable, Invalid> {
    let tiers = tiers(&spec.routing, pools)?;
    let default_tier = match (&spec.routing.default_tier, tiers.first()) {
        (Some(name), _) if tiers.iter().any(|tier| tier.name == *name) => name.clone(),
        (None, Some(first)) => first.name.clone(),
        (name, _) => return Err(Invalid::UnknownTier(name.clone().unwrap_or_default())),
    };
    let Resilience { timeouts, retries, breaker, on_exhausted } = &spec.resilience;
    let slow = &breaker.slow_call;
    Ok(route::RouteTable {
        fleet: fleet.to_owned(),
        pools: pools
            .iter()
            .map(|pool| route::PoolRoute {
                name: pool.name.clone(),
                service: labels::pool_object(fleet, &pool.name),
            })
            .collect(),
        tiers,
        default_tier,
        tier_from: tier_from(&spec.routing.tier_from)?,
        api: api(&spec.api),
        // It takes more than the spec to know; see `fleet::lexicon`.
        lexicon: Lexicon::new(),
        limits: text_limits(&spec.limits),
        timeouts: route::Timeouts {
            attempt_ms: milliseconds("resilience.timeouts.attempt", &timeouts.attempt)?,
            total_ms: milliseconds("resilience.timeouts.total", &timeouts.total)?,
            idle_ms: milliseconds("resilience.timeouts.idle", &timeouts.idle)?,
        },
        retries: route::Retries {
            attempts: retries.attempts.unsigned_abs(),
            initial_backoff_ms: milliseconds("resilience.retries.initialBackoff", &retries.initial_backoff)?,
            max_backoff_ms: milliseconds("resilience.retries.maxBackoff", &retries.max_backoff)?,
            budget_percent: retries.budget_percent.unsigned_abs(),
        },
        breaker: route::SlowCallBreaker {
            threshold_ms: milliseconds("resilience.breaker.slowCall.threshold", &slow.threshold)?,
            ratio_percent: slow.ratio_percent.unsigned_abs(),
            recovery_ms: milliseconds("resilience.breaker.slowCall.recovery", &slow.recovery)?,
        },
        on_exhausted: exhausted(*on_exhausted),
        mirrors: vec![],
    })
}

fn tiers(routing: &Routing, pools: &[FleetPool]) -> Result<Vec<route::TierRoute>, Invalid> {
    let known = |name: &String| pools.iter().any(|pool| pool.name == *name);
    if routing.tiers.is_empty() {
        let all = pools.iter().map(|pool| pool.name.clone()).collect();
        let name = STANDARD_TIER.to_owned();
        return Ok(vec![route::TierRoute {
            name,
            pools: all,
            weight: 1,
            on_exhausted: None,
            quota: route::Quota::default(),
        }]);
    }
    let tiers = routing.tiers.iter().map(|tier| match tier.pools.iter().find(|name| !known(name)) {
        Some(pool) => Err(Invalid::UnknownPool { tier: tier.name.clone(), pool: pool.clone() }),
        None => Ok(route::TierRoute {
            name: tier.name.clone(),
            pools: tier.pools.clone(),
            weight: tier.weight.unsigned_abs(),
            on_exhausted: tier.on_exhausted.map(exhausted),
            quota: tier.quota.as_ref().map(quota).unwrap_or_default(),
        }),
    });
    tiers.collect()
}

fn quota(spec: &Quota) -> route::Quota {
    route::Quota {
        requests_per_minute: spec.requests_per_minute.map(i32::unsigned_abs),
        characters_per_day: spec.characters_per_day.map(i64::unsigned_abs),
    }
}

fn api(spec: &Api) -> route::ApiRules {
    let Api { aliases, strict, public_lists, cors } = spec;
    let mut known = if aliases.openai { Aliases::openai() } else { Aliases::default() };
    known.models.extend(aliases.models.iter().cloned());
    known.voices.extend(aliases.voices.clone());
    route::ApiRules {
        aliases: known,
        strict: *strict,
        public_lists: *public_lists,
        origins: cors.origins.clone(),
    }
}

fn tier_from(source: &TierFrom) -> Result<route::TierFrom, Invalid> {
    match (&source.api_key_secret_ref, &source.header) {
        (None, None) => Ok(route::TierFrom::Nothing),
        (Some(_), None) => Ok(route::TierFrom::ApiKey),
        (None, Some(name)) => Ok(route::TierFrom::Header { name: name.clone() }),
        (Some(_), Some(_)) => Err(Invalid::TwoTierSources),
    }
}

fn exhausted(wanted: OnExhausted) -> route::OnExhausted {
    match wanted {
        OnExhausted::Error => route::OnExhausted::Error,
        OnExhausted::EmptyAudio => route::OnExhausted::EmptyAudio,
    }
}

fn text_limits(limits: &Limits) -> route::TextLimits {
    route::TextLimits {
        max_input_chars: limits.max_input_chars.unsigned_abs(),
        on_overflow: match limits.on_overflow {
            OnOverflow::Auto => route::OnOverflow::Auto,
            OnOverflow::Truncate => route::OnOverflow::Truncate,
            OnOverflow::Reject => route::OnOverflow::Reject,
        },
        hard_limit: limits.hard_limit.unsigned_abs(),
    }
}
