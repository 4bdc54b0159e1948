//! Whose turn it is. No I/O, no clock and no threads of its own.
//!
//! Work is done in turns of one piece of audio. Callers take turns by
//! start-time fair queueing: each has a tag that moves on by what its turns
//! cost, in seconds of speech over its share, and the lowest tag is next. Among
//! one caller's requests the one whose audio runs out first is next, so that the
//! first audio of all comes before more audio of any.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{
    callers::{Caller, Claim, Outlook},
    line::Line,
};

/// Speech that a listener has ahead so that its request can wait while others are
/// brought to their end.
const SAFELY_AHEAD: Duration = Duration::from_secs(1);

/// After how long without a turn a request is due for one, however much of it is
/// still to be heard: less than half of the silence that a gateway takes for a broken
/// answer, as all that are due take turns.
const LONGEST_SILENCE: Duration = Duration::from_millis(1200);

/// Seconds of speech that a turn is taken for until it is known: the longest
/// piece of the built-in voice.
const TURN_SECONDS: f64 = 2.0;

/// Seconds of speech that a caller can save up of its share: a text of some
/// length.
const SAVED_SECONDS: f64 = 10.0;

/// Texts of more seconds of speech are bulky, as are those that the gateway calls
/// long. They get no more than half of the threads, or as many as compute at once:
/// short ones come first while threads are missed, so that bulky ones would hold
/// them all before long.
const BULKY_SECONDS: f64 = 15.0;

/// How long a thread is waited for, until that is known.
const INTERVAL_GUESS: Duration = Duration::from_millis(60);
/// The same for a bulky text.
const BULKY_INTERVAL_GUESS: Duration = Duration::from_millis(500);

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
    /// Those who wait for a thread, and those of them whose texts are bulky.
    lines: [Line; 2],
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

/// Who waits for a thread while there is none.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    Any,
    /// Somebody who has something saved up.
    Saved,
}

struct Task {
    caller: Caller,
    long: bool,
    bulky: bool,
    state: State,
    has_thread: bool,
    /// When its audio has been played, if it is played as it is made.
    runs_out: Instant,
    /// When its last turn ended, or it came.
    last_turn: Instant,
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

impl Task {
    /// When it should have its next turn.
    fn due(&self) -> Instant {
        self.runs_out.min(self.last_turn + LONGEST_SILENCE)
    }
}

impl Scheduler {
    pub(crate) fn new(threads: usize, turns: usize) -> Self {
        Self {
            threads: threads.max(1),
            turns: turns.clamp(1, threads.max(1)),
            callers: HashMap::new(),
            tasks: BTreeMap::new(),
            next_id: 0,
            lines: [INTERVAL_GUESS, BULKY_INTERVAL_GUESS].map(Line::new),
            now_served: 0.0,
        }
    }

    /// Whether a text of so many seconds of speech is one that waits in the line of
    /// the bulky ones.
    pub(crate) fn is_bulky(claim: &Claim, seconds: f64) -> bool {
        claim.long || seconds > BULKY_SECONDS
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
            bulky: Self::is_bulky(claim, seconds),
            state: State::Parked,
            has_thread: false,
            runs_out: now,
            last_turn: now,
            left: seconds,
            charged: 0.0,
        };
        self.lines[usize::from(task.bulky)].joined(now);
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
        let (started, bulky) = self.started();
        let may_run = |task: &Task| {
            task.state == State::Ready && (task.has_thread || self.may_start(task, started, bulky))
        };
        let able = self.tasks.iter().filter(|(_, task)| may_run(task));
        let next = match self.want_of_threads(started) {
            None => able.min_by(|a, b| self.order(*a, *b, now)),
            Some(want) => able.min_by(|a, b| self.order_to_end(*a, *b, want, now)),
        };
        let id = *next?.0;
        self.begin_turn(id, now);
        Some(id)
    }

    /// The turn is over, having made so many seconds of speech; the request wants
    /// another.
    pub(crate) fn pass(&mut self, id: Id, made: f64, now: Instant) {
        self.end_turn(id, made, now);
        self.want(id);
    }

    /// The turn is over, and the request waits for its client.
    pub(crate) fn park(&mut self, id: Id, made: f64, now: Instant) {
        self.end_turn(id, made, now);
    }

    /// The request has waited for its client, and wants a turn again.
    pub(crate) fn resume(&mut self, id: Id) {
        self.want(id);
    }

    /// The request is done, or nobody waits for it any more.
    pub(crate) fn leave(&mut self, id: Id) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if !task.has_thread && !self.somebody_waits(task.bulky) {
            self.lines[usize::from(task.bulky)].emptied();
        }
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

    /// What one more text of a caller has to expect, bulky or not; and a newcomer
    /// with a text that is not.
    pub(crate) fn outlook(&self, caller: &Caller, share: f64, bulky: bool, now: Instant) -> Outlook {
        let newcomer = self.wait(None, share, false, now);
        Outlook { wait: self.wait(Some(caller), share, bulky, now), newcomer }
    }

    /// How long a thread would be waited for. Before come the caller's texts that
    /// wait already, and of the other callers' as many as their shares are beside
    /// its own.
    fn wait(&self, caller: Option<&Caller>, share: f64, bulky: bool, now: Instant) -> Duration {
        let mut waiting: HashMap<&Caller, f64> = HashMap::new();
        for task in self.tasks.values().filter(|task| !task.has_thread && task.bulky == bulky) {
            *waiting.entry(&task.caller).or_default() += 1.0;
        }
        let (started, bulky_ones) = self.started();
        if waiting.is_empty() && self.has_thread_for(bulky, started, bulky_ones) {
            return Duration::ZERO;
        }
        let own = caller.and_then(|caller| waiting.remove(caller)).unwrap_or_default();
        let round = (own + 1.0) / share.clamp(SMALLEST_SHARE, 1.0);
        let share = |other: &Caller| self.callers.get(other).map_or(1.0, |account| account.share);
        let before = waiting.iter().map(|(other, count)| count.min(round * share(other)));
        self.lines[usize::from(bulky)].wait(own + before.sum::<f64>(), now)
    }

    /// How long a thread is waited for by the first in the line.
    pub(crate) fn interval(&self, now: Instant) -> Duration {
        self.lines[0].wait(0.0, now)
    }

    /// Texts that have a thread, and the bulky ones of them.
    fn started(&self) -> (usize, usize) {
        let with_thread = || self.tasks.values().filter(|task| task.has_thread);
        (with_thread().count(), with_thread().filter(|task| task.bulky).count())
    }

    fn has_thread_for(&self, bulky: bool, started: usize, bulky_ones: usize) -> bool {
        started < self.threads && !(bulky && bulky_ones >= (self.threads / 2).max(self.turns))
    }

    /// Whether threads are all taken, and somebody waits for one.
    fn want_of_threads(&self, started: usize) -> Option<Want> {
        if started < self.threads {
            return None;
        }
        let saves = |task: &Task| self.callers.get(&task.caller).is_some_and(|it| it.tag < self.now_served);
        let mut waiting = self.tasks.values().filter(|task| !task.has_thread).peekable();
        waiting.peek()?;
        Some(if waiting.any(saves) { Want::Saved } else { Want::Any })
    }

    /// Whether a thread may begin on it, if there is one for its kind. Of half,
    /// a caller beside others gets no more than use all turns, and one for when a
    /// client of its is slow, unless it has something saved up.
    fn may_start(&self, task: &Task, started: usize, bulky: usize) -> bool {
        let (half, fits) = (self.threads / 2, self.has_thread_for(task.bulky, started, bulky));
        let Some(account) = self.callers.get(&task.caller).filter(|account| account.share < 1.0) else {
            return fits;
        };
        let is_modest = account.tag < self.now_served || account.threads <= self.turns;
        fits && (started < half || is_modest)
    }

    /// Long texts that are ahead of their playback come last; then callers by
    /// their tags, and a caller's requests by when their audio runs out.
    fn order(&self, a: (&Id, &Task), b: (&Id, &Task), now: Instant) -> Ordering {
        let can_wait = |task: &Task| task.long && task.due() > now;
        let by_class = can_wait(a.1).cmp(&can_wait(b.1));
        by_class
            .then_with(|| self.by_tag(a.1, b.1))
            .then_with(|| a.1.due().cmp(&b.1.due()))
            .then_with(|| a.0.cmp(b.0))
    }

    /// While threads are missed, what is nearest to its end goes first, so that
    /// one comes free: texts that are all brought on alike would all end late.
    /// Callers take turns as ever, and nobody's audio is to run out for that; but
    /// if it is somebody with savings who waits, only silence comes before.
    fn order_to_end(&self, a: (&Id, &Task), b: (&Id, &Task), want: Want, now: Instant) -> Ordering {
        let can_wait = |task: &Task| match want {
            Want::Any => task.due() > now && task.runs_out > now + SAFELY_AHEAD,
            Want::Saved => task.last_turn + LONGEST_SILENCE > now,
        };
        match (can_wait(a.1), can_wait(b.1)) {
            (true, true) => {
                let by_tag = if want == Want::Saved { Ordering::Equal } else { self.by_tag(a.1, b.1) };
                by_tag.then_with(|| a.1.left.total_cmp(&b.1.left)).then_with(|| a.0.cmp(b.0))
            }
            (false, false) => self.order(a, b, now),
            (a, b) => a.cmp(&b),
        }
    }

    fn somebody_waits(&self, bulky: bool) -> bool {
        self.tasks.values().any(|task| !task.has_thread && task.bulky == bulky)
    }

    fn by_tag(&self, a: &Task, b: &Task) -> Ordering {
        let tag = |task: &Task| self.callers.get(&task.caller).map_or(0.0, |account| account.tag);
        tag(a).total_cmp(&tag(b))
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
        let (begins, bulky) = (!task.has_thread, task.bulky);
        let (charged, caller) = (task.charged, task.caller.clone());
        if begins {
            // It is heard from now on.
            task.runs_out = now;
        }
        task.has_thread = true;
        if begins {
            let others_wait = self.somebody_waits(bulky);
            self.lines[usize::from(bulky)].began(others_wait, now);
        }
        if let Some(account) = self.callers.get_mut(&caller) {
            account.threads += usize::from(begins);
            self.now_served = self.now_served.max(account.tag);
        }
        self.charge(&caller, charged);
    }

    fn end_turn(&mut self, id: Id, made: f64, now: Instant) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = State::Parked;
        task.last_turn = now;
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
