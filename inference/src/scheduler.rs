//! Whose turn it is. No I/O, no clock and no threads of its own.
//!
//! Work is done in turns of one piece of audio. Callers take turns by
//! start-time fair queueing: each has a tag that moves on by what its turns
//! cost, in seconds of speech over its share, and the lowest tag is next. Among
//! one caller's requests the one whose audio runs out first is next, so that the
//! first audio of all comes before more audio of any.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::callers::{Caller, Claim};

/// Seconds of speech that a turn is taken for until it is known: the longest
/// piece of the built-in voice.
const TURN_SECONDS: f64 = 2.0;

/// Seconds of speech that a caller can save up of its share: a text of some
/// length.
const SAVED_SECONDS: f64 = 10.0;

/// Shares below are taken for this one: a weight of 1 beside many of 100.
const SMALLEST_SHARE: f64 = 1e-6;

/// What is not worth a turn of its own: it goes with the one before.
pub(crate) const SHORT_TURN: f64 = 0.25;

/// A request's number.
pub(crate) type Id = u64;

/// The threads, and who waits for them.
pub(crate) struct Scheduler {
    /// Requests that can be under way at once.
    threads: usize,
    /// Threads that compute at once.
    turns: usize,
    callers: HashMap<Caller, Account>,
    tasks: BTreeMap<Id, Task>,
    next_id: Id,
    /// The tag that has its turn.
    now_served: f64,
}

/// A caller's.
#[derive(Default)]
struct Account {
    /// Its part of the server, beside others.
    share: f64,
    tag: f64,
    /// Requests waiting or under way.
    tasks: usize,
    /// Of those, how many have a thread.
    threads: usize,
    /// Of those, how many have or want a turn.
    busy: usize,
}

struct Task {
    caller: Caller,
    long: bool,
    state: State,
    has_thread: bool,
    /// When its audio has been played, if it is played as it is made.
    runs_out: Instant,
    /// Seconds of speech still to come, as far as is known.
    left: f64,
    /// What its turn was taken for.
    charged: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Wants a turn.
    Ready,
    /// Has one since then.
    Running(Instant),
    /// Waits for its client.
    Parked,
}

impl Scheduler {
    pub(crate) fn new(threads: usize, turns: usize) -> Self {
        Self {
            threads: threads.max(1),
            turns: turns.clamp(1, threads.max(1)),
            callers: HashMap::new(),
            tasks: BTreeMap::new(),
            next_id: 0,
            now_served: 0.0,
        }
    }

    /// A request for so many seconds of speech wants a thread and its first turn.
    /// `share` is the caller's part of the server beside others, above 0 and up to 1.
    pub(crate) fn enter(&mut self, claim: &Claim, share: f64, seconds: f64, now: Instant) -> Id {
        let served = self.now_served;
        self.callers.retain(|_, account| account.tasks > 0 || account.tag > served);
        let account = self.callers.entry(claim.caller.clone()).or_default();
        account.share = share.clamp(SMALLEST_SHARE, 1.0);
        account.tasks += 1;
        let id = self.next_id;
        self.next_id += 1;
        let task = Task {
            caller: claim.caller.clone(),
            long: claim.long,
            state: State::Parked,
            has_thread: false,
            runs_out: now,
            left: seconds,
            charged: 0.0,
        };
        self.tasks.insert(id, task);
        self.want(id);
        id
    }

    /// Gives a turn to whoever is next, if there is a turn to give.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Id> {
        let running = self.tasks.values().filter(|task| matches!(task.state, State::Running(_))).count();
        if running >= self.turns {
            return None;
        }
        let with_thread = || self.tasks.values().filter(|task| task.has_thread);
        let (started, long) = (with_thread().count(), with_thread().filter(|task| task.long).count());
        let may_run = |task: &Task| {
            task.state == State::Ready && (task.has_thread || self.may_start(task, started, long))
        };
        let able = self.tasks.iter().filter(|(_, task)| may_run(task));
        let next = if started == self.threads && self.is_missed() {
            able.min_by(|a, b| a.1.left.total_cmp(&b.1.left))
        } else {
            able.min_by(|a, b| self.order(*a, *b, now))
        };
        let id = *next?.0;
        self.begin_turn(id, now);
        Some(id)
    }

    /// The turn is over, having made so many seconds of speech; the request wants
    /// another.
    pub(crate) fn pass(&mut self, id: Id, made: f64) {
        self.end_turn(id, made);
        self.want(id);
    }

    /// The turn is over, and the request waits for its client.
    pub(crate) fn park(&mut self, id: Id, made: f64) {
        self.end_turn(id, made);
    }

    /// The request has waited for its client, and wants a turn again.
    pub(crate) fn resume(&mut self, id: Id) {
        self.want(id);
    }

    /// The request is done, or nobody waits for it any more.
    pub(crate) fn leave(&mut self, id: Id) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(account) = self.callers.get_mut(&task.caller) {
            account.tasks -= 1;
            account.threads -= usize::from(task.has_thread);
            account.busy -= usize::from(task.state != State::Parked);
        }
        if self.tasks.is_empty() {
            self.callers.clear();
            self.now_served = 0.0;
        }
    }

    /// How long the longest turn has been going on.
    pub(crate) fn longest_turn(&self, now: Instant) -> Duration {
        let turns = self.tasks.values().filter_map(|task| match task.state {
            State::Running(since) => Some(now.saturating_duration_since(since)),
            _ => None,
        });
        turns.max().unwrap_or_default()
    }

    /// How many turns have been going on for longer than that.
    pub(crate) fn longer_turns(&self, limit: Duration, now: Instant) -> usize {
        let is_longer = |task: &&Task| matches!(task.state, State::Running(since) if now.saturating_duration_since(since) > limit);
        self.tasks.values().filter(is_longer).count()
    }

    /// Whether somebody waits for a thread who has something saved up. Then what is
    /// nearest to its end goes first, so that a thread comes free.
    fn is_missed(&self) -> bool {
        let saves = |task: &Task| self.callers.get(&task.caller).is_some_and(|it| it.tag < self.now_served);
        self.tasks.values().any(|task| !task.has_thread && saves(task))
    }

    /// Whether a thread may begin on it. Half of them take no long texts. Of half,
    /// a caller beside others gets no more than use all turns, and one for when a
    /// client of its is slow, unless it has something saved up.
    fn may_start(&self, task: &Task, started: usize, long: usize) -> bool {
        let half = self.threads / 2;
        let fits = started < self.threads && !(task.long && long >= half.max(1));
        let Some(account) = self.callers.get(&task.caller).filter(|account| account.share < 1.0) else {
            return fits;
        };
        let is_modest = account.tag < self.now_served || account.threads <= self.turns;
        fits && (started < half || is_modest)
    }

    /// Long texts that are ahead of their playback come last; then callers by
    /// their tags, and a caller's requests by when their audio runs out.
    fn order(&self, a: (&Id, &Task), b: (&Id, &Task), now: Instant) -> std::cmp::Ordering {
        let can_wait = |task: &Task| task.long && task.runs_out > now;
        let tag = |task: &Task| self.callers.get(&task.caller).map_or(0.0, |account| account.tag);
        let by_class = can_wait(a.1).cmp(&can_wait(b.1));
        by_class
            .then_with(|| tag(a.1).total_cmp(&tag(b.1)))
            .then_with(|| a.1.runs_out.cmp(&b.1.runs_out))
            .then_with(|| a.0.cmp(b.0))
    }

    fn want(&mut self, id: Id) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = State::Ready;
        if let Some(account) = self.callers.get_mut(&task.caller) {
            if account.busy == 0 {
                // Who wants less than its share has some of it saved up, so that a
                // text of its own is not held up by those who want more.
                let saved = SAVED_SECONDS / account.share;
                account.tag = account.tag.max(self.now_served - saved);
            }
            account.busy += 1;
        }
    }

    fn begin_turn(&mut self, id: Id, now: Instant) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = State::Running(now);
        task.charged = task.left.clamp(SHORT_TURN, TURN_SECONDS);
        let (begins, charged, caller) = (!task.has_thread, task.charged, task.caller.clone());
        task.has_thread = true;
        if let Some(account) = self.callers.get_mut(&caller) {
            account.threads += usize::from(begins);
            self.now_served = self.now_served.max(account.tag);
        }
        self.charge(&caller, charged);
    }

    fn end_turn(&mut self, id: Id, made: f64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = State::Parked;
        task.runs_out += Duration::try_from_secs_f64(made).unwrap_or_default();
        task.left = (task.left - made).max(0.0);
        let (owed, caller) = (made - task.charged, task.caller.clone());
        self.charge(&caller, owed);
        if let Some(account) = self.callers.get_mut(&caller) {
            account.busy -= 1;
        }
    }

    /// Moves a caller's tag on by seconds of speech over its share.
    fn charge(&mut self, caller: &Caller, seconds: f64) {
        if let Some(account) = self.callers.get_mut(caller) {
            account.tag += seconds / account.share;
        }
    }
}

#[cfg(test)]
mod tests;
