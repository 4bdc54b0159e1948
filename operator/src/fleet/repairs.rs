//! Bounds how often one object is written, so that two controllers that want
//! different things of it do not write as fast as the API server answers.

use std::collections::HashMap;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// Writes of one object that may follow each other at once.
const BURST: i64 = 20;
/// Each of these gives one further write.
const REFILL: SignedDuration = SignedDuration::from_secs(3);

/// When the objects were last written.
#[derive(Debug, Default)]
pub struct Repairs {
    /// For each object, when its allowance is full again.
    full_at: Mutex<HashMap<String, Timestamp>>,
}

impl Repairs {
    /// Takes one write from the object's allowance; false if there is none.
    pub fn allow(&self, object: &str, now: Timestamp) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // An object whose allowance is full needs no entry.
        full_at.retain(|_, at| *at > now);
        let at = full_at.get(object).copied().unwrap_or(now);
        let after = at.saturating_add(REFILL).unwrap_or(at);
        if after.duration_since(now) > REFILL * i32::try_from(BURST).unwrap_or(i32::MAX) {
            return false;
        }
        full_at.insert(object.to_owned(), after);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_then_one_at_each_refill() {
        let (repairs, start) = (Repairs::default(), Timestamp::UNIX_EPOCH);
        let allowed = (0..100).filter(|_| repairs.allow("a", start)).count();
        assert_eq!(allowed, 20);
        assert!(repairs.allow("b", start), "another object has an allowance of its own");
        assert!(!repairs.allow("a", start + SignedDuration::from_secs(2)));
        assert!(repairs.allow("a", start + SignedDuration::from_secs(3)));
        assert!(!repairs.allow("a", start + SignedDuration::from_secs(3)));
    }

    #[test]
    fn objects_at_rest_are_forgotten() {
        let (repairs, start) = (Repairs::default(), Timestamp::UNIX_EPOCH);
        repairs.allow("a", start);
        repairs.allow("b", start + SignedDuration::from_secs(60));
        assert_eq!(repairs.full_at.lock().map(|map| map.len()).unwrap_or_default(), 1);
    }
}
