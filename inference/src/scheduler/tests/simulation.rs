//! A server on a virtual clock.

use std::{
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

use super::{Id, Scheduler};
use crate::callers::{Callers, Claim, Room};

/// Seconds of work to a second of speech.
pub(super) const WORK: f64 = 0.1;
/// Pieces of audio, in seconds, as the built-in voice makes them.
pub(super) const PIECES: [f64; 3] = [0.5, 1.0, 2.0];

/// One text that comes at some time, in seconds from the start.
#[derive(Clone)]
pub(super) struct Text {
    pub(super) at: f64,
    pub(super) claim: Claim,
    pub(super) seconds: f64,
}

/// When the first audio of each text was there and when its last, from its coming,
/// and how much of the threads' time was used until the last came. Texts that were
/// refused have neither.
pub(super) struct Outcome {
    pub(super) first: Vec<f64>,
    pub(super) last: Vec<f64>,
    pub(super) used: f64,
    /// When each piece was there, from the start, and how much speech that was.
    pub(super) pieces: Vec<(f64, f64)>,
    /// Longest time between two pieces of a text.
    pub(super) silence: f64,
    /// Texts refused at once.
    pub(super) refused: usize,
}

/// The server that is simulated.
#[derive(Clone, Copy)]
pub(super) struct Server {
    pub(super) threads: usize,
    pub(super) cores: usize,
    /// Seconds of work to a second of speech.
    pub(super) work: f64,
    /// How long a text may wait for a thread, in seconds.
    pub(super) patience: f64,
}

impl Server {
    /// All texts are let in.
    pub(super) fn patient(threads: usize, cores: usize) -> Self {
        Self { threads, cores, work: WORK, patience: f64::INFINITY }
    }
}

/// What is under way, by when its turn ends.
#[derive(PartialEq)]
struct Turn {
    ends: f64,
    id: Id,
    made: f64,
}

impl Eq for Turn {}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.ends.total_cmp(&self.ends).then(other.id.cmp(&self.id))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A text that was let in.
struct Begun {
    /// Its place among the texts.
    index: usize,
    /// Seconds of speech still to come.
    left: f64,
    pieces: usize,
    /// When it had its last piece, or its thread.
    heard: Option<f64>,
}

struct World<'a> {
    server: Server,
    texts: &'a [Text],
    start: Instant,
    /// Seconds from the start.
    now: f64,
    scheduler: Scheduler,
    callers: Callers,
    turns: BinaryHeap<Turn>,
    begun: HashMap<Id, Begun>,
    worked: f64,
    outcome: Outcome,
}

/// Has the texts spoken that come, ordered by when they do.
pub(super) fn simulate(server: Server, texts: &[Text]) -> Outcome {
    let none = || vec![f64::NAN; texts.len()];
    let mut world = World {
        server,
        texts,
        start: Instant::now(),
        now: 0.0,
        scheduler: Scheduler::new(server.threads, server.cores),
        callers: Callers::default(),
        turns: BinaryHeap::new(),
        begun: HashMap::new(),
        worked: 0.0,
        outcome: Outcome {
            first: none(),
            last: none(),
            used: 0.0,
            pieces: Vec::new(),
            silence: 0.0,
            refused: 0,
        },
    };
    texts.iter().for_each(|text| _ = world.callers.enter(&text.claim, world.start));
    let mut coming = texts.iter().enumerate().peekable();
    loop {
        world.give_up();
        world.give_turns();
        let next_end = world.turns.peek().map(|turn| turn.ends);
        let is_next = |text: &(usize, &Text)| next_end.is_none_or(|end| text.1.at <= end);
        if let Some((index, text)) = coming.next_if(is_next) {
            world.now = text.at;
            world.comes(index, text);
        } else if let Some(turn) = world.turns.pop() {
            world.now = turn.ends;
            world.ends(&turn);
        } else {
            break;
        }
    }
    world.outcome.used = world.worked / (world.now * server.cores as f64);
    world.outcome
}

impl World<'_> {
    fn at(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.now)
    }

    /// Whoever has waited in vain leaves.
    fn give_up(&mut self) {
        let Self { begun, texts, now, scheduler, server, .. } = self;
        begun.retain(|id, one| {
            let stays = one.heard.is_some() || *now - texts[one.index].at <= server.patience;
            if !stays {
                scheduler.leave(*id);
            }
            stays
        });
    }

    fn give_turns(&mut self) {
        while let Some(id) = self.scheduler.next(self.at()) {
            let one = self.begun.get_mut(&id).unwrap();
            let made = PIECES[one.pieces.min(2)].min(one.left);
            one.heard.get_or_insert(self.now);
            self.worked += made * self.server.work;
            self.turns.push(Turn { ends: self.now + made * self.server.work, id, made });
        }
    }

    /// A text comes, and is let in unless it would wait for too long.
    fn comes(&mut self, index: usize, text: &Text) {
        let (caller, share) = (&text.claim.caller, self.callers.share(&text.claim.caller, 1));
        let bulky = Scheduler::is_bulky(&text.claim, text.seconds);
        let outlook = self.scheduler.outlook(caller, share, bulky, self.at());
        let patience = Duration::try_from_secs_f64(self.server.patience).ok();
        let room = Room { places: usize::MAX, inside: 0, drained: None, outlook };
        if self.callers.judge(&Claim { patience, ..text.claim.clone() }, room, self.at()).is_err() {
            self.outcome.refused += 1;
            return;
        }
        let id = self.scheduler.enter(&text.claim, share, text.seconds, self.at());
        self.begun.insert(id, Begun { index, left: text.seconds, pieces: 0, heard: None });
    }

    fn ends(&mut self, turn: &Turn) {
        let (now, at, one) = (self.now, self.at(), self.begun.get_mut(&turn.id).unwrap());
        let came = self.texts[one.index].at;
        if one.pieces == 0 {
            self.outcome.first[one.index] = now - came;
        } else if let Some(heard) = one.heard {
            self.outcome.silence = self.outcome.silence.max(now - heard);
        }
        self.outcome.pieces.push((now, turn.made));
        (one.heard, one.pieces, one.left) = (Some(now), one.pieces + 1, one.left - turn.made);
        if one.left > 1e-9 {
            return self.scheduler.pass(turn.id, turn.made, at);
        }
        self.outcome.last[one.index] = now - came;
        self.scheduler.leave(turn.id);
        self.begun.remove(&turn.id);
    }
}
