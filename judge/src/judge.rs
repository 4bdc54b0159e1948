//! What the parts of the judge share.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ttsfleet_wire::judge::{Report, Session};

use crate::{
    inbox::Inbox,
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
    /// Callers' texts that wait to be put to both sides.
    pub inbox: Inbox,
    /// Pairs that wait to be judged.
    pub queue: Queue,
    /// What it counts.
    pub metrics: Metrics,
    tally: Mutex<Tally>,
    dropped: AtomicU64,
    trouble: Mutex<BTreeMap<Part, String>>,
    /// When the words of a caller's text were last heard.
    heard_callers: Mutex<Option<Instant>>,
    listening: AtomicBool,
}

impl Judge {
    /// Nothing measured yet.
    pub fn new(session: Session) -> Self {
        let design = Design::new(session.confidence_percent, session.min_samples);
        Self {
            session,
            inbox: Inbox::default(),
            queue: Queue::default(),
            metrics: Metrics::new(),
            tally: Mutex::new(Tally::new(design)),
            dropped: AtomicU64::default(),
            trouble: Mutex::default(),
            heard_callers: Mutex::default(),
            listening: AtomicBool::default(),
        }
    }

    /// Counts a caller's text for which there is no room.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.metrics.pair(false, Fate::Dropped);
    }

    /// How long no words have been heard in callers' texts; none if they never
    /// were. Those without tell nothing of the error rate, however many come.
    pub fn quiet(&self) -> Option<Duration> {
        lock(&self.heard_callers).map(|last| last.elapsed())
    }

    /// Whether there is something that listens.
    pub fn hears(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
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
        let dropped = self.dropped.load(Ordering::Relaxed);
        let waiting = (self.inbox.len() + self.queue.len()) as u64;
        // First of the two: a pair is tallied when what it tells of trouble is said.
        let tally = lock(&self.tally);
        let trouble: Vec<String> = lock(&self.trouble).values().cloned().collect();
        Report {
            session: self.session.id.clone(),
            samples: tally.samples(),
            from_prompts: tally.from_prompts(),
            repeated: tally.repeated(),
            waiting,
            dropped,
            trouble: (!trouble.is_empty()).then(|| trouble.join("; ")),
            measures: tally.measures(),
        }
    }

    /// Judges pair after pair until the queue is closed.
    pub fn listen(&self, ears: &mut Ears) {
        self.listening.store(true, Ordering::Relaxed);
        while let Some(job) = self.queue.pop() {
            let started = Instant::now();
            // The bytes come from models under test: whatever they do to the
            // code that reads them must not end the judge.
            let judged = catch_unwind(AssertUnwindSafe(|| ears.judge(&job))).ok().flatten();
            self.metrics.listened(started.elapsed());
            let heard = judged.as_ref().is_some_and(|judged| judged.sample.cer.is_some());
            if heard && !job.from_prompt {
                *lock(&self.heard_callers) = Some(Instant::now());
            }
            match judged {
                Some(judged) => self.note(&job, judged),
                None => self.metrics.pair(job.from_prompt, Fate::Unheard),
            }
        }
    }

    fn note(&self, job: &Job, Judged { sample, deaf }: Judged) {
        self.metrics.pair(job.from_prompt, Fate::Judged);
        // A pair in which nothing was to be recognised says nothing of this.
        if deaf.is_some() || sample.cer.is_some() {
            self.trouble(Part::Ears, deaf.map(|error| error.to_string()));
        }
        lock(&self.tally).push(&sample);
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
