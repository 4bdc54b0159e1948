//! The route table as the gateway uses it: checked once, then only read.

use std::{sync::Arc, time::Duration};

use axum::http::HeaderName;
use ttsfleet_wire::route::{
    ApiRules, MirrorRoute, OnExhausted, OnOverflow, Quota, RouteTable, TierFrom, TierRoute,
};

use crate::{breaker::Rule, lexicon::FleetLexicon};

/// Calls in the window below which a pod's breaker never opens.
const MINIMUM_CALLS_OF_POD: u32 = 5;
/// The same for a pool. More than for a pod: until a bad pod's own breaker has
/// opened, its calls count against the pool, and must not condemn it.
const MINIMUM_CALLS_OF_POOL: u32 = 20;

/// How long a pod that relapses again and again is left alone, at most.
const LONGEST_RECOVERY_OF_POD: Duration = Duration::from_secs(60);

/// A checked route table.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The fleet's name.
    pub fleet: String,
    /// Names of the pools and of their Services.
    pub pools: Vec<(String, String)>,
    tiers: Vec<Arc<Tier>>,
    default_tier: usize,
    /// How a request names its tier.
    pub tier_from: Naming,
    /// What is taken from clients, beside what the pods know.
    pub api: ApiRules,
    /// How words are said, unless the request says otherwise.
    pub lexicon: FleetLexicon,
    /// Length from which on a text is long, in Unicode characters.
    pub max_input_chars: usize,
    /// What becomes of a long one.
    pub on_overflow: OnOverflow,
    /// Length beyond which it is refused, in Unicode characters.
    pub hard_limit: usize,
    /// Time for the first audio of one attempt.
    pub attempt: Duration,
    /// Time for the first audio of all attempts.
    pub total: Duration,
    /// Time between two pieces of audio.
    pub idle: Duration,
    /// Attempts in all.
    pub attempts: u32,
    /// Longest pause before the second attempt.
    pub initial_backoff: Duration,
    /// Longest pause of all.
    pub max_backoff: Duration,
    /// Retries allowed, in percent of the requests.
    pub budget_percent: u32,
    /// When to leave a pod alone.
    pub pod_rule: Rule,
    /// When to leave a pool alone.
    pub pool_rule: Rule,
    /// What a caller gets when every attempt has failed.
    pub on_exhausted: OnExhausted,
    /// Pools whose requests are passed on to a judge.
    pub mirrors: Vec<MirrorRoute>,
}

/// A tier and the pools it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The tier's name.
    pub name: String,
    /// Names of pools, the preferred one first.
    pub pools: Vec<String>,
    /// Its share of a busy pod, beside the other tiers' weights.
    pub weight: u32,
    /// What its callers get when every attempt has failed, if not what all get.
    pub on_exhausted: Option<OnExhausted>,
    /// What each of its callers may have.
    pub quota: Quota,
}

impl From<TierRoute> for Tier {
    fn from(TierRoute { name, pools, weight, on_exhausted, quota }: TierRoute) -> Self {
        Self { name, pools, weight, on_exhausted, quota }
    }
}

/// How a request names its tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// Not at all.
    Nothing,
    /// By its API key.
    ApiKey,
    /// By a header.
    Header(HeaderName),
}

/// Why a route table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    /// It is not JSON of the right shape.
    #[error("the route table cannot be read: {0}")]
    Unreadable(String),
    /// A tier names a pool that is not there.
    #[error("tier {tier} names pool {pool}, which is not in the table")]
    UnknownPool {
        /// The tier.
        tier: String,
        /// The pool.
        pool: String,
    },
    /// A tier has no pools.
    #[error("tier {0} has no pools")]
    EmptyTier(String),
    /// The default tier is not there.
    #[error("the default tier {0} is not in the table")]
    UnknownTier(String),
    /// A mirror is of a pool that is not there, or that has another mirror.
    #[error("the mirror of pool {0} is of no pool in the table, or its second one")]
    StrayMirror(String),
    /// A mirror's share is out of its range.
    #[error("the mirror of pool {0} has a share that is not 1 to 100 percent")]
    BadMirror(String),
    /// The tier header is no header.
    #[error("{0:?} cannot be the name of a header")]
    BadHeader(String),
}

impl Route {
    /// Reads and checks a table in JSON.
    ///
    /// # Errors
    /// [`BadRoute`].
    pub fn parse(text: &str) -> Result<Self, BadRoute> {
        let table = serde_json::from_str(text).map_err(|error| BadRoute::Unreadable(error.to_string()))?;
        Self::new(table)
    }

    /// Checks a table.
    ///
    /// # Errors
    /// [`BadRoute`].
    pub fn new(table: RouteTable) -> Result<Self, BadRoute> {
        let RouteTable {
            fleet,
            pools,
            tiers,
            default_tier,
            tier_from,
            api,
            lexicon,
            limits,
            timeouts,
            retries,
            breaker,
            on_exhausted,
            mirrors,
        } = table;
        let pools: Vec<_> = pools.into_iter().map(|pool| (pool.name, pool.service)).collect();
        let tiers: Vec<_> = tiers.into_iter().map(|tier| Arc::new(Tier::from(tier))).collect();
        tiers.iter().try_for_each(|tier| check_tier(tier, &pools))?;
        check_mirrors(&mirrors, &pools)?;
        let default = tiers.iter().position(|tier| tier.name == default_tier);
        let recovery = milliseconds(breaker.recovery_ms);
        let rule = |minimum_calls, longest_recovery| Rule {
            threshold: milliseconds(breaker.threshold_ms),
            ratio_percent: breaker.ratio_percent,
            minimum_calls,
            recovery,
            longest_recovery,
        };
        Ok(Self {
            fleet,
            pools,
            default_tier: default.ok_or(BadRoute::UnknownTier(default_tier))?,
            tiers,
            tier_from: naming(tier_from)?,
            api,
            lexicon: FleetLexicon::new(lexicon),
            max_input_chars: limits.max_input_chars as usize,
            on_overflow: limits.on_overflow,
            hard_limit: limits.hard_limit as usize,
            attempt: milliseconds(timeouts.attempt_ms),
            total: milliseconds(timeouts.total_ms),
            idle: milliseconds(timeouts.idle_ms),
            attempts: retries.attempts,
            initial_backoff: milliseconds(retries.initial_backoff_ms),
            max_backoff: milliseconds(retries.max_backoff_ms),
            budget_percent: retries.budget_percent,
            pod_rule: rule(MINIMUM_CALLS_OF_POD, LONGEST_RECOVERY_OF_POD),
            // Beside a pool there may be nothing: it is never left alone for longer.
            pool_rule: rule(MINIMUM_CALLS_OF_POOL, recovery),
            on_exhausted,
            mirrors,
        })
    }

    /// The tier of that name.
    pub fn tier(&self, name: &str) -> Option<&Arc<Tier>> {
        self.tiers.iter().find(|tier| tier.name == name)
    }

    /// Whether one of the tiers has a bound.
    pub(crate) fn has_quotas(&self) -> bool {
        self.tiers.iter().any(|tier| !tier.quota.is_unbounded())
    }

    /// The tier of a request that names none.
    pub fn default_tier(&self) -> &Arc<Tier> {
        &self.tiers[self.default_tier]
    }
}

fn check_tier(tier: &Tier, pools: &[(String, String)]) -> Result<(), BadRoute> {
    let unknown = tier.pools.iter().find(|name| !pools.iter().any(|(pool, _)| pool == *name));
    match unknown {
        Some(pool) => Err(BadRoute::UnknownPool { tier: tier.name.clone(), pool: pool.clone() }),
        None if tier.pools.is_empty() => Err(BadRoute::EmptyTier(tier.name.clone())),
        None => Ok(()),
    }
}

fn check_mirrors(mirrors: &[MirrorRoute], pools: &[(String, String)]) -> Result<(), BadRoute> {
    for (place, mirror) in mirrors.iter().enumerate() {
        let known = pools.iter().any(|(pool, _)| *pool == mirror.pool);
        if !known || mirrors[..place].iter().any(|other| other.pool == mirror.pool) {
            return Err(BadRoute::StrayMirror(mirror.pool.clone()));
        }
        if !(1..=100).contains(&mirror.percent) {
            return Err(BadRoute::BadMirror(mirror.pool.clone()));
        }
    }
    Ok(())
}

fn naming(from: TierFrom) -> Result<Naming, BadRoute> {
    match from {
        TierFrom::Nothing => Ok(Naming::Nothing),
        TierFrom::ApiKey => Ok(Naming::ApiKey),
        TierFrom::Header { name } => {
            HeaderName::try_from(&name).map(Naming::Header).map_err(|_| BadRoute::BadHeader(name))
        }
    }
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

/// A table for tests, with the defaults of the API.
#[cfg(test)]
pub(crate) fn sample() -> RouteTable {
    use ttsfleet_wire::route::{ApiRules, PoolRoute, Retries, SlowCallBreaker, TextLimits, Timeouts};
    let pool = |name: &str| PoolRoute { name: name.to_owned(), service: format!("narrator-{name}") };
    let tier = |name: &str, pools: &[&str]| TierRoute {
        name: name.to_owned(),
        pools: pools.iter().map(ToString::to_string).collect(),
        weight: 1,
        on_exhausted: None,
        quota: Quota::default(),
    };
    RouteTable {
        fleet: "narrator".to_owned(),
        pools: vec![pool("main"), pool("backup")],
        tiers: vec![tier("premium", &["main", "backup"]), tier("standard", &["backup"])],
        default_tier: "premium".to_owned(),
        tier_from: TierFrom::Nothing,
        api: ApiRules::default(),
        lexicon: [("kubectl", "cube control"), ("GIF", "/dʒɪf/")]
            .map(|(word, said)| (word.to_owned(), said.to_owned()))
            .into(),
        limits: TextLimits { max_input_chars: 600, on_overflow: OnOverflow::Truncate, hard_limit: 4096 },
        timeouts: Timeouts { attempt_ms: 3000, total_ms: 9000, idle_ms: 3000 },
        retries: Retries { attempts: 3, initial_backoff_ms: 500, max_backoff_ms: 2000, budget_percent: 20 },
        breaker: SlowCallBreaker { threshold_ms: 1500, ratio_percent: 50, recovery_ms: 5000 },
        on_exhausted: OnExhausted::EmptyAudio,
        mirrors: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_names_what_is_not_there_is_refused() {
        let mut table = sample();
        table.tiers[1].pools.push("spare".to_owned());
        let unknown = BadRoute::UnknownPool { tier: "standard".to_owned(), pool: "spare".to_owned() };
        assert_eq!(Route::new(table), Err(unknown));

        let mut table = sample();
        table.default_tier = "gold".to_owned();
        assert_eq!(Route::new(table), Err(BadRoute::UnknownTier("gold".to_owned())));

        let mut table = sample();
        table.tiers[0].pools.clear();
        assert_eq!(Route::new(table), Err(BadRoute::EmptyTier("premium".to_owned())));

        let mut table = sample();
        table.tier_from = TierFrom::Header { name: "x tier".to_owned() };
        assert_eq!(Route::new(table), Err(BadRoute::BadHeader("x tier".to_owned())));
        assert!(matches!(Route::parse("{"), Err(BadRoute::Unreadable(_))));
    }

    #[test]
    fn a_mirror_needs_a_pool_of_its_own_and_a_share() {
        let judge = "narrator-main-judge".to_owned();
        let mirror = || MirrorRoute { pool: "main".to_owned(), judge: judge.clone(), percent: 5 };
        let with = |mirrors| Route::new(RouteTable { mirrors, ..sample() }).map(|route| route.mirrors.len());
        assert_eq!(with(vec![mirror()]), Ok(1));
        let stray = Err(BadRoute::StrayMirror("main".to_owned()));
        assert_eq!(with(vec![mirror(), mirror()]), stray);
        let spare = MirrorRoute { pool: "spare".to_owned(), ..mirror() };
        assert_eq!(with(vec![spare]), Err(BadRoute::StrayMirror("spare".to_owned())));
        for wrong in [MirrorRoute { percent: 0, ..mirror() }, MirrorRoute { percent: 101, ..mirror() }] {
            assert_eq!(with(vec![wrong]), Err(BadRoute::BadMirror("main".to_owned())));
        }
    }

    #[test]
    fn a_table_comes_through_json_unchanged() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert_eq!(Route::parse(&text), Route::new(sample()));
    }
}
