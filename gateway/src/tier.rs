//! Who asks: from a request's headers to its tier.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use ttsfleet_serving::Failure;
use ttsfleet_wire::{error::ErrorCode, route::Quota};

use crate::{
    keys::{Key, Keys, Sum, sum},
    route::{Naming, Route, Tier},
};

/// What tells callers apart is made with this before what they are known by.
const CALLER_SALT: &[u8] = b"ttsfleet caller of ";
/// The same for a tier whose callers are not told apart.
const TIER_SALT: &[u8] = b"ttsfleet tier of ";
/// How much of it is told, in bytes.
const CALLER_BYTES: usize = 8;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The request's tier.
    pub tier: Arc<Tier>,
    /// The caller's key, where keys are asked for.
    key: Option<(Sum, Arc<Key>)>,
}

impl Caller {
    /// Tells this caller from the fleet's others, the same in each of its
    /// gateways; none where no keys are asked for. Keys of one name are one
    /// caller's. It is no key, nor leads to one.
    pub fn tag(&self, fleet: &str) -> Option<String> {
        let (sum, key) = self.key.as_ref()?;
        let salted = Sha256::new().chain_update(CALLER_SALT).chain_update(fleet);
        Some(short(match &key.name {
            Some(name) => {
                salted.chain_update([0]).chain_update(&key.tier).chain_update([0]).chain_update(name)
            }
            None => salted.chain_update(sum),
        }))
    }

    /// Tells whose quota it is from all others: the caller's, or its tier's where
    /// callers are not told apart.
    pub(crate) fn account(&self, fleet: &str) -> String {
        let of_tier =
            || Sha256::new().chain_update(TIER_SALT).chain_update(fleet).chain_update(&self.tier.name);
        self.tag(fleet).unwrap_or_else(|| short(of_tier()))
    }

    /// What it may have.
    pub(crate) fn quota(&self) -> Quota {
        let own = self.key.as_ref().map(|(_, key)| key.quota).unwrap_or_default();
        own.or(self.tier.quota)
    }

    /// The name of its key, if that has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.key.as_ref()?.1.name.as_deref()
    }
}

fn short(salted: Sha256) -> String {
    let sum: Sum = salted.finalize().into();
    hex::encode(&sum[..CALLER_BYTES])
}

/// Who asks, or the refusal.
///
/// # Errors
/// 401 where the route asks for an API key and the request has no valid one.
pub fn identify(route: &Route, keys: &Keys, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Failure> {
    let (tier, key) = match &route.tier_from {
        Naming::Nothing => (None, None),
        Naming::Header(name) => (headers.get(name).and_then(|value| route.tier(value.to_str().ok()?)), None),
        Naming::ApiKey => {
            let sum = sum(bearer(headers)?);
            let key = keys.get(&sum).ok_or_else(unknown_key)?;
            if let Some(until) = key.until.filter(|until| *until <= now) {
                return Err(expired(until));
            }
            // A key of a tier that is no more must not become one of the default tier.
            let tier = route.tier(&key.tier).ok_or_else(unknown_key)?;
            (Some(tier), Some((sum, key)))
        }
    };
    Ok(Caller { tier: Arc::clone(tier.unwrap_or_else(|| route.default_tier())), key })
}

fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| {
        let message = "Send your API key in the header `Authorization: Bearer <key>`.";
        Failure::new(ErrorCode::Unauthorized, message)
    })
}

fn unknown_key() -> Failure {
    Failure::new(ErrorCode::Unauthorized, "This API key is not known here.")
}

fn expired(until: Timestamp) -> Failure {
    let message = format!("This API key was valid until {until}; ask for a new one.");
    Failure::new(ErrorCode::Unauthorized, message)
}

#[cfg(test)]
mod tests {
    use ttsfleet_wire::route::TierFrom;

    use super::*;
    use crate::route::sample;

    fn route(from: TierFrom) -> Route {
        let mut table = sample();
        table.tier_from = from;
        Route::new(table).unwrap()
    }

    const NOON: &str = "2027-01-31T12:00:00Z";

    fn keys() -> Keys {
        let of = |tier: &str| Key { tier: tier.to_owned(), ..Key::default() };
        let acme = Key { name: Some("acme".to_owned()), ..of("premium") };
        let until = |time: &str| Key { until: Some(time.parse().unwrap()), ..of("premium") };
        let known = [
            ("gold-1", of("premium")),
            (
                "gold-2",
                Key { quota: Quota { requests_per_minute: Some(9), ..Quota::default() }, ..of("premium") },
            ),
            ("acme-1", acme.clone()),
            ("acme-2", acme),
            ("over", until(NOON)),
            ("going", until("2027-01-31T12:00:01Z")),
            ("old", of("retired")),
        ];
        let keys = Keys::default();
        keys.set(known.map(|(key, of)| (key.to_owned(), of)));
        keys
    }

    fn caller(route: &Route, key: &str) -> Result<Caller, Failure> {
        let value = format!("Bearer {key}").parse().unwrap();
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        identify(route, &keys(), &headers, NOON.parse().unwrap())
    }

    fn tier(route: &Route, header: &'static str, value: &'static str) -> Result<String, ErrorCode> {
        let headers = HeaderMap::from_iter([(header.parse().unwrap(), value.parse().unwrap())]);
        let caller = identify(route, &keys(), &headers, NOON.parse().unwrap());
        caller.map(|caller| caller.tier.name.clone()).map_err(|failure| failure.code)
    }

    #[test]
    fn a_known_key_names_its_tier_and_any_other_is_refused() {
        let route = route(TierFrom::ApiKey);
        assert_eq!(tier(&route, "authorization", "Bearer gold-1"), Ok("premium".to_owned()));
        assert_eq!(tier(&route, "authorization", "bearer gold-2"), Ok("premium".to_owned()));
        for (header, value) in [
            ("authorization", "Bearer gold-3"),
            ("authorization", "Bearer "),
            ("authorization", "Basic gold-1"),
            ("x-api-key", "gold-1"),
            ("authorization", "Bearer old"),
        ] {
            assert_eq!(tier(&route, header, value), Err(ErrorCode::Unauthorized), "{header}: {value}");
        }
    }

    #[test]
    fn a_trusted_header_names_the_tier_and_without_it_the_default_holds() {
        let route = route(TierFrom::Header { name: "x-tier".to_owned() });
        assert_eq!(tier(&route, "x-tier", "standard"), Ok("standard".to_owned()));
        assert_eq!(tier(&route, "x-tier", "gold"), Ok("premium".to_owned()));
        assert_eq!(tier(&route, "x-other", "standard"), Ok("premium".to_owned()));
    }

    #[test]
    fn callers_are_told_apart_by_something_that_is_no_key() {
        let route = route(TierFrom::ApiKey);
        let tag = |fleet: &str, key: &str| caller(&route, key).unwrap().tag(fleet).unwrap();
        let one = tag("narrator", "gold-1");
        assert_eq!(one, tag("narrator", "gold-1"), "the same in each gateway");
        assert_ne!(one, tag("narrator", "gold-2"));
        assert_ne!(one, tag("another", "gold-1"), "of no use to another fleet");
        let sum: String = Sha256::digest("gold-1").iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(one.len() == 16 && !sum.contains(&one), "{one}");
        assert_eq!(tag("narrator", "acme-1"), tag("narrator", "acme-2"), "keys of one name");
    }

    #[test]
    fn a_key_is_valid_until_its_end() {
        let route = route(TierFrom::ApiKey);
        assert!(caller(&route, "going").is_ok());
        let failure = caller(&route, "over").unwrap_err();
        assert_eq!(failure.code, ErrorCode::Unauthorized);
        assert!(failure.message.contains("valid until 2027-01-31T12:00:00Z"), "{}", failure.message);
    }

    #[test]
    fn a_keys_own_quota_goes_before_its_tiers_and_without_keys_a_tier_has_one_account() {
        let mut table = sample();
        table.tier_from = TierFrom::ApiKey;
        table.tiers[0].quota = Quota { requests_per_minute: Some(60), characters_per_day: Some(1000) };
        let mine = Route::new(table.clone()).unwrap();
        assert_eq!(caller(&mine, "gold-1").unwrap().quota(), table.tiers[0].quota);
        let own = Quota { requests_per_minute: Some(9), characters_per_day: Some(1000) };
        assert_eq!(caller(&mine, "gold-2").unwrap().quota(), own);
        let account = |key: &str| caller(&mine, key).unwrap().account("narrator");
        assert_ne!(account("gold-1"), account("gold-2"));

        let open = route(TierFrom::Nothing);
        let nobody = identify(&open, &keys(), &HeaderMap::new(), NOON.parse().unwrap()).unwrap();
        assert_eq!((nobody.tag("narrator"), nobody.name()), (None, None));
        assert!(!nobody.account("narrator").is_empty());
    }
}
