//! How often in a row a fleet could not be made what it shall be, and how long to
//! wait before the next try.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use ttsfleet_crds::TtsDeployment;

/// Counts failed passes in a row.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Counts another failure, and says how long to wait after it.
    pub fn next_delay(&self, object: &TtsDeployment) -> Duration {
        let mut counts = self.counts();
        let count = counts.entry(object.uid().unwrap_or_default()).or_default();
        *count = count.saturating_add(1);
        delay(*count)
    }

    /// Failed passes in a row.
    pub(super) fn in_a_row(&self, object: &TtsDeployment) -> u32 {
        self.counts().get(&object.uid().unwrap_or_default()).copied().unwrap_or(0)
    }

    /// Forgets those of a fleet, by its uid: it is well, or gone.
    pub(super) fn forget(&self, fleet: &str) {
        self.counts().remove(fleet);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 0.5 s, then twice as long each time, up to two minutes.
pub(super) fn delay(failures: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(120);
    let factor = 1u32 << failures.saturating_sub(1).min(16);
    Duration::from_millis(500).saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use ttsfleet_crds::TtsDeploymentSpec;

    use super::*;

    #[rstest]
    #[case(1, 500)]
    #[case(2, 1000)]
    #[case(5, 8000)]
    #[case(9, 120_000)]
    #[case(u32::MAX, 120_000)]
    fn the_wait_doubles_up_to_two_minutes(#[case] failures: u32, #[case] milliseconds: u64) {
        assert_eq!(delay(failures), Duration::from_millis(milliseconds));
    }

    #[test]
    fn failures_of_fleets_that_are_well_or_gone_are_forgotten() {
        let mut fleet = TtsDeployment::new("narrator", TtsDeploymentSpec::default());
        fleet.metadata.uid = Some("0b0e".to_owned());
        let failures = Failures::default();
        failures.next_delay(&fleet);
        failures.next_delay(&fleet);
        assert_eq!(failures.in_a_row(&fleet), 2);
        failures.forget("0b0e");
        assert_eq!((failures.in_a_row(&fleet), failures.counts().len()), (0, 0));
    }
}
