//! Pairs that wait to be judged: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::pair::Job;

/// How many pairs wait, and how large they are together.
const MOST_JOBS: usize = 256;
const MOST_BYTES: usize = 48 << 20;

/// First come, first judged.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Adds a pair; whether there was room for it.
    pub fn push(&self, job: Job) -> bool {
        let mut waiting = self.lock();
        let bytes = job.bytes();
        if waiting.closed || waiting.jobs.len() >= MOST_JOBS || waiting.bytes + bytes > MOST_BYTES {
            return false;
        }
        waiting.bytes += bytes;
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
        if waiting.closed {
            return None;
        }
        let job = waiting.jobs.pop_front()?;
        waiting.bytes -= job.bytes();
        Some(job)
    }

    /// How many pairs wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether no pair waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is room for a pair of the largest kind.
    pub fn has_room(&self) -> bool {
        let waiting = self.lock();
        let largest = ttsfleet_wire::judge::MOST_PAIR_BYTES;
        waiting.jobs.len() < MOST_JOBS && waiting.bytes + largest <= MOST_BYTES
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
    use crate::pair::Spoken;

    fn job(bytes: usize) -> Job {
        let audio = vec![0; bytes];
        let spoken = Spoken {
            content_type: "audio/pcm".into(),
            sample_rate: 8000,
            audio,
            first_audio_ms: 1.0,
            total_ms: 1.0,
        };
        Job { text: String::new(), baseline: Some(spoken), candidate: None, from_prompt: false }
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let queue = Queue::default();
        assert!((0..MOST_JOBS).all(|_| queue.push(job(1))));
        assert!(!queue.has_room() && !queue.push(job(1)));
        assert!(queue.pop().is_some() && queue.push(job(1)));

        let queue = Queue::default();
        assert!(queue.push(job(MOST_BYTES)));
        assert!(!queue.has_room() && !queue.push(job(1)));
        assert!(queue.pop().is_some() && queue.has_room() && queue.is_empty());
    }

    #[test]
    fn closing_wakes_who_waits_and_forgets_what_waited() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.pop().is_none());
            queue.close();
            assert!(waits.join().unwrap());
        });
        assert!(!queue.push(job(1)));
    }
}
