//! What the parts of the judge share.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ttsfleet_wire::judge::{Report, Session};

use crate::{
    listen::{Ears, Judged},
    metrics::{Fate, Metrics},
    pair::Job,
    queue::Queue,
    stats::Design,
    tally::Tally,
};

/// What can keep the judge from judging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What listens.
    Ears,
    /// The stable model's pods.
    Baseline,
    /// The candidate's pods.
    Candidate,
    /// The texts to speak.
    Prompts,
}

/// One session's state.
pub struct Judge {
    /// What is compared with what.
    pub session: Session,
    /// Pairs that wait.
    pub queue: Queue,
    /// What it counts.
    pub metrics: Metrics,
    tally: Mutex<Tally>,
    dropped: Mutex<u64>,
    trouble: Mutex<BTreeMap<Part, String>>,
    last_from_callers: Mutex<Option<Instant>>,
    hearing: Mutex<bool>,
}

impl Judge {
    /// Nothing measured yet.
    pub fn new(session: Session) -> Self {
        let design = Design::new(session.confidence_percent, session.min_samples);
        Self {
            session,
            queue: Queue::default(),
            metrics: Metrics::new(),
            tally: Mutex::new(Tally::new(design)),
            dropped: Mutex::default(),
            trouble: Mutex::default(),
            last_from_callers: Mutex::default(),
            hearing: Mutex::default(),
        }
    }

    /// Takes a pair to be judged; whether there was room.
    pub fn take(&self, job: Job) -> bool {
        if !job.from_prompt {
            *lock(&self.last_from_callers) = Some(Instant::now());
        }
        let from_prompt = job.from_prompt;
        let taken = self.queue.push(job);
        if !taken {
            self.drop_one(from_prompt);
        }
        taken
    }

    /// Counts a pair for which there is no room.
    pub fn drop_one(&self, from_prompt: bool) {
        *lock(&self.dropped) += 1;
        self.metrics.pair(from_prompt, Fate::Dropped);
    }

    /// How long no pair has come from callers; none if one never has.
    pub fn quiet(&self) -> Option<Duration> {
        lock(&self.last_from_callers).map(|last| last.elapsed())
    }

    /// Whether there is something that listens.
    pub fn hears(&self) -> bool {
        *lock(&self.hearing)
    }

    /// Says what keeps a part from working, or that nothing does.
    pub fn trouble(&self, part: Part, what: Option<String>) {
        let mut trouble = lock(&self.trouble);
        if trouble.get(&part) != what.as_ref() {
            match &what {
                Some(what) => tracing::warn!(?part, what, "trouble"),
                None => tracing::info!(?part, "trouble is over"),
            }
        }
        match what {
            Some(what) => _ = trouble.insert(part, what),
            None => _ = trouble.remove(&part),
        }
    }

    /// What has been measured so far.
    pub fn report(&self) -> Report {
        let trouble: Vec<String> = lock(&self.trouble).values().cloned().collect();
        let dropped = *lock(&self.dropped);
        let waiting = self.queue.len() as u64;
        let tally = lock(&self.tally);
        Report {
            session: self.session.id.clone(),
            samples: tally.samples(),
            from_prompts: tally.from_prompts(),
            waiting,
            dropped,
            trouble: (!trouble.is_empty()).then(|| trouble.join("; ")),
            measures: tally.measures(),
        }
    }

    /// Judges pair after pair until the queue is closed.
    pub fn listen(&self, ears: &mut Ears) {
        *lock(&self.hearing) = true;
        while let Some(job) = self.queue.pop() {
            let started = Instant::now();
            // The bytes come from models under test: whatever they do to the
            // code that reads them must not end the judge.
            let judged = catch_unwind(AssertUnwindSafe(|| ears.judge(&job)));
            self.metrics.listened(started.elapsed());
            match judged {
                Ok(judged) => self.note(&job, judged),
                Err(_) => self.metrics.pair(job.from_prompt, Fate::Unheard),
            }
        }
    }

    fn note(&self, job: &Job, Judged { sample, deaf }: Judged) {
        lock(&self.tally).push(&sample);
        self.metrics.pair(job.from_prompt, Fate::Judged);
        // A pair in which nothing was to be recognised says nothing of this.
        if deaf.is_some() || sample.cer.is_some() {
            self.trouble(Part::Ears, deaf.map(|error| error.to_string()));
        }
    }
}

/// Loads what listens on a thread of its own, and has it listen.
pub fn start_listening(
    judge: &Arc<Judge>,
    load: impl FnOnce() -> Result<Ears, String> + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let judge = Arc::clone(judge);
    std::thread::Builder::new().name("ears".to_owned()).spawn(move || match load() {
        Ok(mut ears) => judge.listen(&mut ears),
        Err(what) => judge.trouble(Part::Ears, Some(what)),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
