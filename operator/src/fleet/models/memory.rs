//! What the operator remembers of records and pods between passes. Losing it
//! costs a question to each pod, no more.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use ttsfleet_wire::admin::ModelStatus;
use ttsfleet_wire::judge::Report;

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

    /// Whether it knows this fleet.
    pub(crate) fn knows(&self, fleet: &str) -> bool {
        self.lock().contains_key(fleet)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfFleet>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
