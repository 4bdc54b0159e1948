//! Callers' texts that wait to be put to both sides. When there is no room the
//! newcomer is refused, so that its gateway stops sending for a while: those that
//! wait are as good, and none of them is of any use to a caller.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ttsfleet_wire::judge::MirroredRequest;

/// How many texts wait: a minute or so of listening.
const MOST: usize = 64;

/// First come, first spoken.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<VecDeque<MirroredRequest>>);

impl Inbox {
    /// Adds a request; whether there was room for it.
    pub fn push(&self, request: MirroredRequest) -> bool {
        let mut waiting = self.lock();
        let room = waiting.len() < MOST;
        if room {
            waiting.push_back(request);
        }
        room
    }

    /// The one that waits longest.
    pub fn take(&self) -> Option<MirroredRequest> {
        self.lock().pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.len() < MOST
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<MirroredRequest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ttsfleet_wire::lexicon::Lexicon;

    use super::*;

    #[test]
    fn the_newcomer_is_refused_when_there_is_no_room() {
        let request = |number: usize| MirroredRequest {
            text: number.to_string(),
            model: None,
            voice: None,
            speed: None,
            lexicon: Lexicon::new(),
        };
        let inbox = Inbox::default();
        assert!((0..MOST).all(|number| inbox.push(request(number))));
        assert!(!inbox.has_room() && !inbox.push(request(MOST)));
        assert_eq!(inbox.take(), Some(request(0)));
        assert!(inbox.push(request(MOST + 1)));
        let mut last = None;
        while let Some(request) = inbox.take() {
            last = Some(request);
        }
        assert_eq!(last, Some(request(MOST + 1)));
        assert!(inbox.is_empty());
    }
}
