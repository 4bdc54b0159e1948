//! What the gateway sees of the cluster. What it knows stays when the API server
//! is away; when it is refused, nothing mends that but somebody who is told.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::runtime::watcher;

/// Answers of the API server that say that the gateway may not look.
const REFUSALS: [u16; 2] = [401, 403];
/// After so long without another error a watch sees again: it says nothing of
/// itself until something changes. It is tried again more often than that.
const FORGIVEN: Duration = Duration::from_secs(120);

/// How a watch fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It sees.
    Clear,
    /// The API server does not answer as it should; what was known holds.
    Away,
    /// The API server refuses it.
    Refused,
}

impl Sight {
    /// What an error tells.
    pub(crate) fn of(error: &watcher::Error) -> Self {
        use watcher::Error;
        let code = match error {
            Error::InitialListFailed(kube::Error::Api(status))
            | Error::WatchStartFailed(kube::Error::Api(status))
            | Error::WatchFailed(kube::Error::Api(status)) => status.code,
            Error::WatchError(status) => status.code,
            _ => 0,
        };
        if REFUSALS.contains(&code) { Self::Refused } else { Self::Away }
    }
}

/// One of the gateway's watches.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What it is of.
    pub(crate) name: &'static str,
    /// The last trouble, and when that was.
    last: Mutex<Option<(Sight, Instant)>>,
}

impl Watched {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, last: Mutex::new(None) }
    }

    /// Notes how it fares; whether that is news.
    pub(crate) fn note(&self, sight: Sight, now: Instant) -> bool {
        let before = self.sight(now);
        *self.last() = Some((sight, now));
        before != sight
    }

    pub(crate) fn is_refused(&self, now: Instant) -> bool {
        self.sight(now) == Sight::Refused
    }

    fn sight(&self, now: Instant) -> Sight {
        let last = self.last().filter(|(_, when)| now.saturating_duration_since(*when) < FORGIVEN);
        last.map_or(Sight::Clear, |(sight, _)| sight)
    }

    fn last(&self) -> MutexGuard<'_, Option<(Sight, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gateway's watches.
#[derive(Debug)]
pub(crate) struct Watches {
    pub(crate) route: Watched,
    pub(crate) pods: Watched,
}

impl Default for Watches {
    fn default() -> Self {
        Self { route: Watched::new("route table"), pods: Watched::new("pods") }
    }
}

impl Watches {
    pub(crate) fn all(&self) -> [&Watched; 2] {
        [&self.route, &self.pods]
    }

    /// What the API server does not let the gateway see, in words, if so.
    pub(crate) fn blind(&self, now: Instant) -> Option<String> {
        let refused: Vec<_> = self.all().into_iter().filter(|one| one.is_refused(now)).collect();
        let names: Vec<_> = refused.iter().map(|one| one.name).collect();
        (!names.is_empty()).then(|| {
            format!(
                "blind: the API server refuses to tell it of its {}, as after its ServiceAccount has been made \
                 anew; what it knew before holds, and a new pod would see",
                names.join(" and ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn only_the_api_servers_refusals_are_refusals() {
        let status = |code| Box::new(Status { code, ..Status::default() });
        let told = [(401, Sight::Refused), (403, Sight::Refused), (410, Sight::Away), (500, Sight::Away)];
        for (code, sight) in told {
            assert_eq!(Sight::of(&watcher::Error::WatchError(status(code))), sight, "{code}");
            let api = || watcher::Error::InitialListFailed(kube::Error::Api(status(code)));
            assert_eq!(Sight::of(&api()), sight, "{code}");
        }
        assert_eq!(Sight::of(&watcher::Error::NoResourceVersion), Sight::Away);
    }

    #[test]
    fn what_is_as_before_is_no_news() {
        let (watched, now) = (Watched::new("pods"), Instant::now());
        assert!(!watched.note(Sight::Clear, now));
        assert!(watched.note(Sight::Refused, now) && watched.is_refused(now));
        assert!(!watched.note(Sight::Refused, now));
        assert!(watched.note(Sight::Clear, now) && !watched.is_refused(now));
    }

    #[test]
    fn a_watch_that_is_refused_no_more_sees_again_even_if_nothing_changes() {
        let (watches, now) = (Watches::default(), Instant::now());
        assert_eq!(watches.blind(now), None);
        watches.pods.note(Sight::Refused, now);
        let words = watches.blind(now + FORGIVEN / 2).unwrap();
        assert!(words.contains("of its pods, as"), "{words}");
        watches.route.note(Sight::Away, now);
        watches.pods.note(Sight::Refused, now + FORGIVEN / 2);
        assert!(watches.blind(now + FORGIVEN).is_some());
        assert_eq!(watches.blind(now + 2 * FORGIVEN), None);
    }
}
