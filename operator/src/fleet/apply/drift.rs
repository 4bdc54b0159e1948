//! What a live object has that it shall not, and lacks that it shall have.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::fleet::diff::{self, Difference};
use crate::fleet::ownership;
use crate::kinds::Kind;

/// What of an object is not as wanted.
#[derive(Debug, PartialEq)]
pub(super) struct Drift {
    pub(super) differences: Vec<Difference>,
    /// Who wrote beside us.
    pub(super) intruder: Option<String>,
}

impl Drift {
    pub(super) fn of<K: Kind>(wanted: &K, live: &K) -> Self {
        let value = |object: &K| serde_json::to_value(object).unwrap_or_default();
        let differences = diff::differences(&value(wanted), &value(live));
        Self { differences, intruder: ownership::intruder(live.meta()).map(str::to_owned) }
    }

    pub(super) fn is_none(&self) -> bool {
        self.differences.is_empty() && self.intruder.is_none()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.differences.iter().map(|difference| difference.path.clone()).collect()
    }

    /// The field, or who wrote beside us.
    pub(super) fn by(&self) -> String {
        self.paths().into_iter().next().or_else(|| self.intruder.clone()).unwrap_or_default()
    }

    /// Of what came back of what was written.
    pub(super) fn digest<K: Kind>(&self, wanted: &K) -> u64 {
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(&(wanted, &self.differences)).unwrap_or_default().hash(&mut hasher);
        hasher.finish()
    }
}
