//! Who asks: from a request's headers to its tier.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::route::{Naming, Route, Tier};

/// How often the folder is read again. A Secret's new content takes up to a
/// minute to get there, so that this adds little.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Longest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// API keys and the tiers they stand for. Only their digests are kept.
#[derive(Debug, Default)]
pub struct Keys(ArcSwap<Vec<(Sum, String)>>);

type Sum = [u8; 32];

impl Keys {
    /// Keys from a folder: a file for each tier, one key a line.
    pub fn set(&self, keys: Vec<(Sum, String)>) {
        self.0.store(Arc::new(keys));
    }

    /// The tier a key stands for. Every known key is looked at, each in the
    /// same time, so that the time taken tells nothing about them.
    fn tier_of(&self, key: &str) -> Option<String> {
        let presented: Sum = Sha256::digest(key).into();
        let mut found = None;
        for (known, tier) in self.0.load().iter() {
            if bool::from(known.ct_eq(&presented)) {
                found = Some(tier.clone());
            }
        }
        found
    }
}

/// The request's tier, or the refusal.
///
/// # Errors
/// 401 where the route asks for an API key and the request has no known one.
pub fn identify(route: &Route, keys: &Keys, headers: &HeaderMap) -> Result<Arc<Tier>, Failure> {
    let named = match &route.tier_from {
        Naming::Nothing => None,
        Naming::Header(name) => headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
        Naming::ApiKey => Some(keys.tier_of(bearer(headers)?).ok_or_else(unknown_key)?),
    };
    let tier = match (&route.tier_from, named) {
        (_, None) => Some(route.default_tier()),
        // A key of a tier that is no more must not become one of the default tier.
        (Naming::ApiKey, Some(name)) => route.tier(&name),
        (_, Some(name)) => route.tier(&name).or_else(|| Some(route.default_tier())),
    };
    tier.cloned().ok_or_else(unknown_key)
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

fn read(folder: &Path) -> std::io::Result<Vec<(Sum, String)>> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
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
    keys.sort();
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
        identify(route, &keys(), &headers).map(|tier| tier.name.clone()).map_err(|failure| failure.code)
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
    fn no_key_is_kept_in_the_clear() {
        assert!(!format!("{:?}", keys()).contains("gold"));
    }
}
