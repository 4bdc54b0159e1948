//! Who asks: from a request's headers to its tier.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::route::{Naming, Route, Tier};

/// How often the folder is read again. A Secret's new content takes up to a
/// minute to get there, so that this adds little.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Longest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// What tells callers apart is made with this before their key's digest.
const CALLER_SALT: &[u8] = b"ttsfleet caller of ";
/// How much of it is told, in bytes.
const CALLER_BYTES: usize = 8;

/// API keys and the names of the tiers they stand for. Only their digests are
/// kept, and looked up by: how long that takes depends on the digest of what was
/// presented, of which nobody can choose more than a few bits, so that it leads
/// nobody to a key.
#[derive(Debug, Default)]
pub struct Keys(ArcSwap<Known>);

type Sum = [u8; 32];
type Known = HashMap<Sum, String>;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The request's tier.
    pub tier: Arc<Tier>,
    /// Digest of the caller's key, where keys are asked for.
    key: Option<Sum>,
}

impl Caller {
    /// Tells this caller from the fleet's others, the same in each of its
    /// gateways; none where no keys are asked for. It is no key, nor leads to one.
    pub fn tag(&self, fleet: &str) -> Option<String> {
        let salted = Sha256::new().chain_update(CALLER_SALT).chain_update(fleet).chain_update(self.key?);
        let sum: Sum = salted.finalize().into();
        Some(sum[..CALLER_BYTES].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl Keys {
    /// Takes the keys there are.
    pub fn set(&self, keys: Known) {
        self.0.store(Arc::new(keys));
    }
}

/// Who asks, or the refusal.
///
/// # Errors
/// 401 where the route asks for an API key and the request has no known one.
pub fn identify(route: &Route, keys: &Keys, headers: &HeaderMap) -> Result<Caller, Failure> {
    let (tier, key) = match &route.tier_from {
        Naming::Nothing => (None, None),
        Naming::Header(name) => (headers.get(name).and_then(|value| route.tier(value.to_str().ok()?)), None),
        Naming::ApiKey => {
            let key: Sum = Sha256::digest(bearer(headers)?).into();
            // A key of a tier that is no more must not become one of the default tier.
            let tier = keys.0.load().get(&key).and_then(|name| route.tier(name));
            (Some(tier.ok_or_else(unknown_key)?), Some(key))
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

/// Keeps `keys` as the folder says, for ever. A folder that cannot be read
/// changes nothing: who had access keeps it.
pub async fn follow(folder: PathBuf, keys: Arc<Keys>) {
    let mut last = None;
    loop {
        let path = folder.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        match read {
            Ok(Ok(fresh)) if last.as_ref() != Some(&fresh) => {
                tracing::info!(keys = fresh.len(), "API keys read");
                keys.set(fresh.clone());
                last = Some(fresh);
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, folder = %folder.display(), "cannot read the API keys"),
            Err(error) => tracing::warn!(%error, "cannot read the API keys"),
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}

/// Keys from a folder: a file for each tier, one key a line.
fn read(folder: &Path) -> std::io::Result<Known> {
    let mut keys = Known::new();
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    // A key of two tiers is of the same one each time.
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let tier = entry.file_name().to_string_lossy().into_owned();
        // Kubernetes keeps its own bookkeeping there, with a dot in front.
        let metadata = std::fs::metadata(entry.path())?;
        if tier.starts_with('.') || !metadata.is_file() {
            continue;
        }
        if metadata.len() > MOST_BYTES {
            let message = format!("the keys of tier {tier} take more than {MOST_BYTES} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
        }
        let text = std::fs::read_to_string(entry.path())?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        keys.extend(lines.map(|key| (Sha256::digest(key).into(), tier.clone())));
    }
    Ok(keys)
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

    fn keys() -> Keys {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("premium"), "gold-1\n\n gold-2 \n").unwrap();
        std::fs::write(folder.path().join("retired"), "old").unwrap();
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        let keys = Keys::default();
        keys.set(read(folder.path()).unwrap());
        keys
    }

    fn tier(route: &Route, header: &'static str, value: &'static str) -> Result<String, ErrorCode> {
        let headers = HeaderMap::from_iter([(header.parse().unwrap(), value.parse().unwrap())]);
        let caller = identify(route, &keys(), &headers);
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
        let tag = |fleet: &str, key: &str| {
            let value = format!("Bearer {key}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            identify(&route(TierFrom::ApiKey), &keys(), &headers).unwrap().tag(fleet).unwrap()
        };
        let one = tag("narrator", "gold-1");
        assert_eq!(one, tag("narrator", "gold-1"), "the same in each gateway");
        assert_ne!(one, tag("narrator", "gold-2"));
        assert_ne!(one, tag("another", "gold-1"), "of no use to another fleet");
        let sum: String = Sha256::digest("gold-1").iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(one.len() == 16 && !sum.contains(&one), "{one}");
        let caller = identify(&route(TierFrom::Nothing), &keys(), &HeaderMap::new()).unwrap();
        assert_eq!(caller.tag("narrator"), None);
    }

    #[test]
    fn no_key_is_kept_in_the_clear() {
        assert!(!format!("{:?}", keys()).contains("gold"));
    }
}
