//! What the operator remembers of records and pods between passes. Losing it
//! costs a question to each pod, no more.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use ttsfleet_wire::admin::ModelStatus;
use ttsfleet_wire::judge::Report;

use crate::fleet::traffic::{Difference, GRACE};
use crate::rollout::PoolRecord;

/// How long a pod that gives no answer is left alone while nothing depends on it.
pub(super) const QUIET: SignedDuration = SignedDuration::from_secs(10);

/// How long an answer is good for while a rollout is under way. Every change of
/// the status brings about another pass, which shall not ask at once what may
/// change the status again.
pub(super) const FRESH: SignedDuration = SignedDuration::from_millis(700);

/// What is remembered of all fleets, by their uids.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, OfFleet>>);

#[derive(Debug, Default)]
struct OfFleet {
    /// By pool.
    records: HashMap<String, Written>,
    /// By the pods' uids.
    pods: HashMap<String, Heard>,
    /// What judges reported and when, by the uids of their pods.
    reports: HashMap<String, (Timestamp, Option<Report>)>,
    /// What the kubelet said of volumes and when, by the uids of their pods.
    volumes: HashMap<String, (Timestamp, Option<String>)>,
    /// What of the traffic differs from what is counted, and since when.
    differences: BTreeMap<Difference, Timestamp>,
    /// What kept a trial's objects from being made, in words.
    trial: Option<String>,
    /// Digests of what the API server makes of objects, by kind and name.
    accepted: HashMap<String, u64>,
}

/// A record as it was written last, perhaps later than the cache knows.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) object: Arc<ConfigMap>,
    pub(super) record: PoolRecord,
}

/// What came of asking a pod.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// It answered.
    Said {
        status: Box<ModelStatus>,
        /// Restarts of its container at that time.
        restarts: u32,
        /// It has been told to do something, or is at it.
        restless: bool,
        at: Timestamp,
    },
    /// It did not.
    Nothing { at: Timestamp },
}

impl Memory {
    pub(super) fn written(&self, fleet: &str, pool: &str) -> Option<Written> {
        self.lock().get(fleet)?.records.get(pool).cloned()
    }

    pub(super) fn wrote(&self, fleet: &str, pool: &str, written: Written) {
        self.lock().entry(fleet.to_owned()).or_default().records.insert(pool.to_owned(), written);
    }

    pub(super) fn heard(&self, fleet: &str, pod: &str) -> Option<Heard> {
        self.lock().get(fleet)?.pods.get(pod).cloned()
    }

    pub(super) fn hear(&self, fleet: &str, pod: &str, heard: Heard) {
        self.lock().entry(fleet.to_owned()).or_default().pods.insert(pod.to_owned(), heard);
    }

    pub(super) fn reported(&self, fleet: &str, judge: &str) -> Option<(Timestamp, Option<Report>)> {
        self.lock().get(fleet)?.reports.get(judge).cloned()
    }

    pub(super) fn report(&self, fleet: &str, judge: &str, at: Timestamp, report: Option<Report>) {
        let mut all = self.lock();
        all.entry(fleet.to_owned()).or_default().reports.insert(judge.to_owned(), (at, report));
    }

    /// What kept a trial's objects from being made in the last pass.
    pub(super) fn trial(&self, fleet: &str) -> Option<String> {
        self.lock().get(fleet)?.trial.clone()
    }

    pub(crate) fn tried(&self, fleet: &str, trouble: Option<String>) {
        self.lock().entry(fleet.to_owned()).or_default().trial = trouble;
    }

    /// A digest of what the API server is known to make of an object.
    pub(crate) fn accepted(&self, fleet: &str, object: &str) -> Option<u64> {
        self.lock().get(fleet)?.accepted.get(object).copied()
    }

    pub(crate) fn accept(&self, fleet: &str, object: &str, digest: u64) {
        self.lock().entry(fleet.to_owned()).or_default().accepted.insert(object.to_owned(), digest);
    }

    /// What was said of a pod's volumes a moment ago.
    pub(crate) fn volumes(&self, fleet: &str, pod: &str, now: Timestamp) -> Option<Option<String>> {
        let (at, words) = self.lock().get(fleet)?.volumes.get(pod).cloned()?;
        (now.duration_since(at).abs() < QUIET).then_some(words)
    }

    pub(crate) fn told_of_volumes(&self, fleet: &str, pod: &str, at: Timestamp, words: Option<String>) {
        self.lock().entry(fleet.to_owned()).or_default().volumes.insert(pod.to_owned(), (at, words));
    }

    /// What differs for longer than a moment, and when to look at the rest again.
    pub(crate) fn lasting(
        &self,
        fleet: &str,
        found: BTreeSet<Difference>,
        now: Timestamp,
    ) -> (Vec<Difference>, Option<Duration>) {
        let mut all = self.lock();
        let known = &mut all.entry(fleet.to_owned()).or_default().differences;
        known.retain(|difference, _| found.contains(difference));
        for difference in found {
            known.entry(difference).or_insert(now);
        }
        let left = |since: &Timestamp| GRACE - now.duration_since(*since);
        let lasting = known.iter().filter(|(_, since)| left(since) <= SignedDuration::ZERO);
        let lasting = lasting.map(|(difference, _)| difference.clone()).collect();
        let coming = known.values().map(left).filter(|left| *left > SignedDuration::ZERO);
        (lasting, coming.min().and_then(|left| Duration::try_from(left).ok()))
    }

    /// A pod was told to do something: what it said before no longer holds.
    pub(super) fn disturb(&self, fleet: &str, pod: &str) {
        let mut all = self.lock();
        if let Some(Heard::Said { restless, .. }) = all.get_mut(fleet).and_then(|of| of.pods.get_mut(pod)) {
            *restless = true;
        }
    }

    /// Forgets pods that are gone.
    pub(super) fn keep_pods(&self, fleet: &str, pods: &[Arc<Pod>]) {
        if let Some(of) = self.lock().get_mut(fleet) {
            let there: HashSet<String> = pods.iter().filter_map(|pod| pod.uid()).collect();
            of.pods.retain(|uid, _| there.contains(uid));
            of.reports.retain(|uid, _| there.contains(uid));
            of.volumes.retain(|uid, _| there.contains(uid));
        }
    }

    /// Forgets pools that are gone: one that comes again begins anew.
    pub(super) fn keep_pools(&self, fleet: &str, there: &[&str]) {
        if let Some(of) = self.lock().get_mut(fleet) {
            of.records.retain(|pool, _| there.contains(&pool.as_str()));
        }
    }

    /// Forgets fleets that are gone.
    pub(crate) fn keep_fleets(&self, there: &HashSet<String>) {
        self.lock().retain(|uid, _| there.contains(uid));
    }

    /// Forgets a fleet that is gone.
    pub(crate) fn forget(&self, fleet: &str) {
        self.lock().remove(fleet);
    }

    /// Whether it knows this fleet.
    pub(crate) fn knows(&self, fleet: &str) -> bool {
        self.lock().contains_key(fleet)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfFleet>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn only_what_differs_all_the_time_is_told() {
        let memory = Memory::default();
        let found = |names: &[&str]| -> BTreeSet<Difference> {
            let stray = |who: &&str| Difference::Stray { part: "main".to_owned(), who: (*who).to_owned() };
            names.iter().map(stray).collect()
        };
        let told = |names: &[&str], seconds| memory.lasting("fleet", found(names), at(seconds));
        assert_eq!(told(&["a"], 0), (vec![], Some(Duration::from_secs(20))), "it may be over in a moment");
        assert_eq!(told(&["a", "b"], 15).1, Some(Duration::from_secs(5)));
        let (lasting, next) = told(&["a", "b"], 20);
        assert_eq!((lasting, next), (found(&["a"]).into_iter().collect(), Some(Duration::from_secs(15))));
        assert_eq!(told(&[], 21), (vec![], None), "it is over");
        assert_eq!(told(&["a"], 22).0, vec![], "and begins anew");
    }
}
