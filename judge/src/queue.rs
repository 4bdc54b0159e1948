//! Pairs that wait to be judged. Few: both sides are asked no faster than there
//! is somebody to listen, and more would only make old audio.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::pair::Job;

/// How many pairs wait.
const MOST_JOBS: usize = 2;

/// First come, first judged.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// Adds a pair; whether there was room for it.
    pub fn push(&self, job: Job) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.jobs.len() >= MOST_JOBS {
            return false;
        }
        waiting.jobs.push_back(job);
        self.changed.notify_one();
        true
    }

    /// Waits for a pair; none once the queue is closed.
    pub fn pop(&self) -> Option<Job> {
        let waiting = self.lock();
        let mut waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.jobs.is_empty() && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.jobs.pop_front()
    }

    /// How many pairs wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether no pair waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for a pair.
    pub fn has_room(&self) -> bool {
        self.len() < MOST_JOBS
    }

    /// Forgets what waits, and takes no more.
    pub fn close(&self) {
        *self.lock() = Waiting { closed: true, ..Waiting::default() };
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> Job {
        Job { text: text.to_owned(), said: None, baseline: None, candidate: None, from_prompt: false }
    }

    #[test]
    fn few_wait_and_the_first_is_judged_first() {
        let queue = Queue::default();
        assert!(queue.push(job("a")) && queue.push(job("b")) && !queue.has_room());
        assert!(!queue.push(job("c")));
        assert_eq!(queue.pop().unwrap().text, "a");
        assert!(queue.has_room() && queue.push(job("d")));
        assert_eq!([queue.pop(), queue.pop()].map(|job| job.unwrap().text), ["b", "d"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn closing_wakes_who_waits_and_forgets_what_waited() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop().is_none());
            queue.close();
            assert!(waits.join().unwrap());
        });
        assert!(!queue.push(job("a")));
    }
}
