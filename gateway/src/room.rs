//! What a pod said of its room, so that the next refusal needs no call: a full
//! pod is a busy one, and takes its time even to refuse.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

/// For how long a pod counts as full. Others than this gateway may have its
/// places, so that their end is not seen here.
const FULL_FOR: Duration = Duration::from_millis(250);

/// A pod's last refusal.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<Option<Refused>>);

#[derive(Debug)]
struct Refused {
    failure: Failure,
    until: Instant,
    /// It refused with so many of our requests in progress there: with fewer
    /// it has room again.
    beside: usize,
}

impl Room {
    /// The pod refused a request, with so many others of ours in progress there.
    pub(crate) fn refused(&self, failure: &Failure, beside: usize, now: Instant) {
        let busy = failure.code == ErrorCode::SystemBusy;
        // The pod rounds up, so that the last second may be no more.
        let told = failure.retry_after_seconds().unwrap_or_default().saturating_sub(1);
        let rest = if busy { Duration::from_secs(u64::from(told)) } else { Duration::ZERO };
        let beside = if busy { 0 } else { beside };
        *self.lock() = Some(Refused { failure: failure.clone(), until: now + rest.max(FULL_FOR), beside });
    }

    /// What it would answer now with so many of our requests in progress there,
    /// if that is known and a refusal.
    pub(crate) fn refusal(&self, outstanding: usize, now: Instant) -> Option<Failure> {
        let known = self.lock();
        let holds = known.as_ref().filter(|known| now < known.until && outstanding >= known.beside);
        holds.map(|known| known.failure.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: ErrorCode, seconds: u16) -> Failure {
        Failure::new(code, "on purpose").retry_after(seconds)
    }

    #[test]
    fn a_full_pod_has_room_when_one_of_ours_has_ended_or_after_a_moment() {
        let (room, now) = (Room::default(), Instant::now());
        assert_eq!(room.refusal(4, now), None);
        let full = failure(ErrorCode::TooManyRequests, 1);
        room.refused(&full, 4, now);
        assert_eq!(room.refusal(4, now), Some(full));
        assert_eq!(room.refusal(3, now), None);
        assert_eq!(room.refusal(4, now + FULL_FOR), None);
    }

    #[test]
    fn a_busy_pod_is_believed_how_long_it_will_be() {
        let (room, now) = (Room::default(), Instant::now());
        room.refused(&failure(ErrorCode::SystemBusy, 10), 4, now);
        assert!(room.refusal(0, now + Duration::from_millis(8900)).is_some());
        assert!(room.refusal(0, now + Duration::from_millis(9100)).is_none());
    }
}
