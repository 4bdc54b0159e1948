//! Pairs that wait to be judged: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::pair::Job;

/// How many callers' pairs wait, and how large they are together.
const MOST_JOBS: usize = 256;
const MOST_BYTES: usize = 48 << 20;
/// Prompts that wait: more would only make old audio.
const MOST_PROMPTS: usize = 2;
/// Callers' pairs that are judged between two prompts, while some wait.
const CALLERS_EACH: usize = 4;

/// First come, first judged, but for prompts: callers' pairs do not take their
/// room, and the two take turns.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    callers: VecDeque<Job>,
    /// Of callers' pairs.
    bytes: usize,
    prompts: VecDeque<Job>,
    /// Callers' pairs taken out since the last prompt was.
    since_prompt: usize,
    closed: bool,
}

impl Waiting {
    fn len(&self) -> usize {
        self.callers.len() + self.prompts.len()
    }

    fn take_next(&mut self) -> Option<Job> {
        let prompts_turn = self.callers.is_empty() || self.since_prompt >= CALLERS_EACH;
        if prompts_turn && let Some(prompt) = self.prompts.pop_front() {
            self.since_prompt = 0;
            return Some(prompt);
        }
        let job = self.callers.pop_front()?;
        self.bytes -= job.bytes();
        self.since_prompt += 1;
        Some(job)
    }
}

impl Queue {
    /// Adds a pair; whether there was room for it.
    pub fn push(&self, job: Job) -> bool {
        let mut waiting = self.lock();
        let bytes = job.bytes();
        let room = if job.from_prompt {
            waiting.prompts.len() < MOST_PROMPTS
        } else {
            waiting.callers.len() < MOST_JOBS && waiting.bytes + bytes <= MOST_BYTES
        };
        if waiting.closed || !room {
            return false;
        }
        if job.from_prompt {
            waiting.prompts.push_back(job);
        } else {
            waiting.bytes += bytes;
            waiting.callers.push_back(job);
        }
        self.changed.notify_one();
        true
    }

    /// Waits for a pair; none once the queue is closed.
    pub fn pop(&self) -> Option<Job> {
        let waiting = self.lock();
        let mut waiting = self
            .changed
            .wait_while(waiting, |waiting| waiting.len() == 0 && !waiting.closed)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.take_next()
    }

    /// How many pairs wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no pair waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a caller's pair waits.
    pub fn has_callers(&self) -> bool {
        !self.lock().callers.is_empty()
    }

    /// Whether there is room for a caller's pair of the largest kind.
    pub fn has_room(&self) -> bool {
        let waiting = self.lock();
        let largest = ttsfleet_wire::judge::MOST_PAIR_BYTES;
        waiting.callers.len() < MOST_JOBS && waiting.bytes + largest <= MOST_BYTES
    }

    /// Whether there is room for a prompt.
    pub fn has_room_for_prompt(&self) -> bool {
        self.lock().prompts.len() < MOST_PROMPTS
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

    fn prompt() -> Job {
        Job { from_prompt: true, ..job(1) }
    }

    #[test]
    fn prompts_have_room_of_their_own_and_no_more() {
        let queue = Queue::default();
        assert!(queue.push(job(MOST_BYTES)) && queue.has_room_for_prompt());
        assert!((0..MOST_PROMPTS).all(|_| queue.push(prompt())));
        assert!(!queue.has_room_for_prompt() && !queue.push(prompt()));
        assert_eq!(queue.len(), 1 + MOST_PROMPTS);
    }

    #[test]
    fn prompts_and_callers_take_turns_and_none_waits_for_nobody() {
        let queue = Queue::default();
        let taken = || queue.pop().unwrap().from_prompt;
        assert!(queue.push(prompt()) && taken(), "no caller's pair waits");
        assert!((0..2 * CALLERS_EACH).all(|_| queue.push(job(1))));
        assert!(queue.push(prompt()) && queue.push(prompt()) && queue.has_callers());
        let turns: Vec<bool> = (0..queue.len()).map(|_| taken()).collect();
        let round = [[false; CALLERS_EACH].as_slice(), &[true]].concat();
        assert_eq!(turns, round.repeat(2));
        assert!(queue.is_empty() && !queue.has_callers());
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
