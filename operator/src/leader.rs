//! Which replica of the operator works: the one that holds a Lease.
//!
//! The crates for this either need another version of kube or decide by the
//! clocks of different machines. Here, as in Kubernetes' own controllers, a
//! Lease counts as abandoned when it has not changed for its duration by our
//! own monotonic clock, and writes carry the version that was read, so that
//! two replicas can never both succeed.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use crate::Clock;

/// How long a Lease lasts that is not renewed. Long enough for the leader to
/// outlive a restart of the API server.
const DURATION: Duration = Duration::from_secs(30);
/// A leader that could not renew for so long stops, well before others start.
const RENEW_DEADLINE: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_secs(3);

/// A replica that wants, or has, the Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    clock: Clock,
}

/// The state of the Lease as we have followed it.
#[derive(Clone, Debug)]
struct Observed {
    /// Changes with every renewal.
    version: Option<String>,
    since: Instant,
}

/// What to do about a Lease.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Take,
    Renew,
    Wait,
}

fn decide(lease: &LeaseSpec, unchanged: Duration, identity: &str) -> Decision {
    let lasts = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    match lease.holder_identity.as_deref() {
        Some(holder) if holder == identity => Decision::Renew,
        Some(holder) if !holder.is_empty() && unchanged < Duration::from_secs(lasts) => Decision::Wait,
        _ => Decision::Take,
    }
}

impl Candidate {
    /// A candidate for the Lease of that name.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, clock: Clock) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), identity: identity.to_owned(), clock }
    }

    /// Waits until this replica holds the Lease. `contact` is called whenever
    /// the API server has answered.
    pub async fn acquire(&self, contact: impl Fn()) {
        let mut observed = Observed { version: None, since: Instant::now() };
        loop {
            match self.attempt(&mut observed).await {
                Ok(held) => {
                    contact();
                    if held {
                        tracing::info!(identity = self.identity, "leading");
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot get the lease"),
            }
            sleep(RETRY).await;
        }
    }

    /// Keeps the Lease; returns when it is lost.
    pub async fn hold(&self) {
        let mut renewed = Instant::now();
        loop {
            sleep(RETRY).await;
            let mut observed = Observed { version: None, since: Instant::now() };
            let remaining = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match timeout(remaining, self.attempt(&mut observed)).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => {}
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return;
            }
        }
    }

    /// Gives the Lease up, so that another replica need not wait for its end.
    pub async fn release(&self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = None;
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// One try to take or renew; whether the Lease is ours afterwards.
    async fn attempt(&self, observed: &mut Observed) -> kube::Result<bool> {
        let now = MicroTime((self.clock)());
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.held(now.clone(), 0, now)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        if observed.version != lease.metadata.resource_version {
            *observed = Observed { version: lease.metadata.resource_version.clone(), since: Instant::now() };
        }
        let spec = lease.spec.take().unwrap_or_default();
        let transitions = spec.lease_transitions.unwrap_or(0);
        lease.spec = Some(match decide(&spec, observed.since.elapsed(), &self.identity) {
            Decision::Wait => return Ok(false),
            Decision::Take => self.held(now.clone(), transitions + 1, now),
            Decision::Renew => self.held(spec.acquire_time.unwrap_or_else(|| now.clone()), transitions, now),
        });
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn held(&self, acquired: MicroTime, transitions: i32, now: MicroTime) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(acquired),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Somebody else was quicker: not an error, only not ours.
fn won(result: kube::Result<Lease>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The time now, by the machine's clock.
pub fn system_clock() -> Clock {
    std::sync::Arc::new(Timestamp::now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nobody(None, 0, Decision::Take)]
    #[case::released(Some(""), 0, Decision::Take)]
    #[case::ours(Some("me"), 0, Decision::Renew)]
    #[case::ours_and_old(Some("me"), 99, Decision::Renew)]
    #[case::held(Some("other"), 29, Decision::Wait)]
    #[case::abandoned(Some("other"), 30, Decision::Take)]
    fn a_lease_is_taken_only_when_free_or_abandoned(
        #[case] holder: Option<&str>,
        #[case] unchanged: u64,
        #[case] expected: Decision,
    ) {
        let lease = LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(30),
            ..LeaseSpec::default()
        };
        assert_eq!(decide(&lease, Duration::from_secs(unchanged), "me"), expected);
    }

    #[test]
    fn a_leader_stops_before_another_may_start() {
        assert!(RENEW_DEADLINE + RETRY < DURATION);
    }
}
