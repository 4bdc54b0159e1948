//! Synthesis threads, apart from the runtime: a synthesis that spins delays no
//! other connection and no health check. Threads compute in turns, which the
//! [`Scheduler`] gives.

use std::{
    collections::HashMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    callers::{Caller, Claim, Outlook},
    scheduler::{Id, Scheduler},
};

type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. Who waits for one waits on the runtime, and
/// leaves the queue by being dropped.
pub(crate) struct Pool {
    turns: Arc<Turns>,
    jobs: SyncSender<Work>,
}

/// Who has a turn, and how those who want one hear of it.
struct Turns(Mutex<Inner>);

struct Inner {
    scheduler: Scheduler,
    wanting: HashMap<Id, oneshot::Sender<()>>,
}

/// A request's place among those that share the threads, given up when dropped.
pub(crate) struct Seat {
    turns: Arc<Turns>,
    id: Id,
}

/// Resolves when a turn has been given.
pub(crate) type Turn = oneshot::Receiver<()>;

impl Pool {
    /// Starts so many threads, of which so many compute at once.
    pub(crate) fn start(threads: usize, turns: usize) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name(format!("synthesis-{number}")).spawn(move || work(&receiver))?;
        }
        let inner = Inner { scheduler: Scheduler::new(threads, turns), wanting: HashMap::new() };
        Ok(Self { turns: Arc::new(Turns(Mutex::new(inner))), jobs })
    }

    /// Asks for a thread, for so many seconds of speech. The first turn may be
    /// given already.
    pub(crate) fn enter(&self, claim: &Claim, share: f64, seconds: f64) -> (Seat, Turn) {
        let mut inner = self.turns.lock();
        let id = inner.scheduler.enter(claim, share, seconds, Instant::now());
        let turn = inner.want(id);
        (Seat { turns: Arc::clone(&self.turns), id }, turn)
    }

    /// Runs `work` on the thread that comes with a first turn. A panic ends the
    /// work and not the thread.
    pub(crate) fn run(&self, seat: Seat, work: impl FnOnce(&Seat) + Send + 'static) {
        // There is a place for each thread, so that this neither fails nor waits.
        match self.jobs.try_send(Box::new(move || work(&seat))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                tracing::error!("no synthesis thread takes work");
            }
        }
    }

    /// What one more text of a caller has to expect, bulky or not.
    pub(crate) fn outlook(&self, caller: &Caller, share: f64, bulky: bool) -> Outlook {
        self.turns.lock().scheduler.outlook(caller, share, bulky, Instant::now())
    }

    /// How long a thread is waited for by the first in the line.
    pub(crate) fn interval(&self) -> Duration {
        self.turns.lock().scheduler.interval(Instant::now())
    }

    /// How long the longest piece of audio has been in the making.
    pub(crate) fn longest_turn(&self) -> Duration {
        self.turns.lock().scheduler.longest_turn(Instant::now())
    }

    /// How many pieces have been in the making for longer than that.
    pub(crate) fn longer_turns(&self, limit: Duration) -> usize {
        self.turns.lock().scheduler.longer_turns(limit, Instant::now())
    }
}

impl Seat {
    /// Gives the turn back after so many seconds of speech, and waits for the
    /// next one. Never called on the runtime.
    pub(crate) fn pass(&self, made: f64) {
        self.wait(|scheduler| scheduler.pass(self.id, made, Instant::now()));
    }

    /// Gives the turn back while the client is waited for.
    pub(crate) fn park(&self, made: f64) {
        let mut inner = self.turns.lock();
        inner.scheduler.park(self.id, made, Instant::now());
        inner.give_turns();
    }

    /// Waits for a turn after [`Self::park`]. Never called on the runtime.
    pub(crate) fn resume(&self) {
        self.wait(|scheduler| scheduler.resume(self.id));
    }

    fn wait(&self, ask: impl FnOnce(&mut Scheduler)) {
        let mut inner = self.turns.lock();
        ask(&mut inner.scheduler);
        let turn = inner.want(self.id);
        drop(inner);
        // The sender is kept until there is a turn.
        _ = turn.blocking_recv();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.turns.lock();
        inner.wanting.remove(&self.id);
        inner.scheduler.leave(self.id);
        inner.give_turns();
    }
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn want(&mut self, id: Id) -> Turn {
        let (given, turn) = oneshot::channel();
        self.wanting.insert(id, given);
        self.give_turns();
        turn
    }

    fn give_turns(&mut self) {
        while let Some(id) = self.scheduler.next(Instant::now()) {
            // Who has gone meanwhile gives it back with its seat.
            if let Some(given) = self.wanting.remove(&id) {
                _ = given.send(());
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<Work>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // The panic hook has logged it; whoever waits sees its sender dropped.
        _ = catch_unwind(AssertUnwindSafe(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callers::tests::claim;

    async fn first_turn(pool: &Pool) -> Seat {
        let (seat, turn) = pool.enter(&claim("", "", 1), 1.0, 1.0);
        turn.await.unwrap();
        seat
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_and_not_the_thread() {
        let pool = Pool::start(1, 1).unwrap();
        for _ in 0..3 {
            pool.run(first_turn(&pool).await, |_| panic!("on purpose"));
        }
        let (done, ended) = oneshot::channel();
        pool.run(first_turn(&pool).await, move |_| done.send(()).unwrap());
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_the_queue_is_given_no_thread() {
        let pool = Pool::start(1, 1).unwrap();
        let seat = first_turn(&pool).await;
        let (left, _turn) = pool.enter(&claim("", "", 1), 1.0, 1.0);
        let (next, turn) = pool.enter(&claim("", "", 1), 1.0, 1.0);
        drop(left);
        drop(seat);
        turn.await.unwrap();
        drop(next);
    }

    #[tokio::test]
    async fn who_waits_for_its_client_holds_no_turn() {
        let pool = Pool::start(2, 1).unwrap();
        let (resume, resumed) = oneshot::channel::<()>();
        let (parked, is_parked) = oneshot::channel();
        pool.run(first_turn(&pool).await, move |seat| {
            seat.park(0.5);
            parked.send(()).unwrap();
            resumed.blocking_recv().unwrap();
            seat.resume();
        });
        is_parked.await.unwrap();
        let other = first_turn(&pool).await;
        resume.send(()).unwrap();
        drop(other);
        // Both threads are free again.
        let (_one, _other) = (first_turn(&pool).await, pool.enter(&claim("", "", 1), 1.0, 1.0));
    }

    #[tokio::test]
    async fn a_piece_that_never_ends_is_noticed() {
        let pool = Pool::start(1, 1).unwrap();
        let seat = first_turn(&pool).await;
        assert_eq!(pool.longer_turns(Duration::from_secs(60)), 0);
        assert_eq!(pool.longer_turns(Duration::ZERO), 1);
        assert!(pool.longest_turn() > Duration::ZERO);
        drop(seat);
        assert_eq!(pool.longer_turns(Duration::ZERO), 0);
    }
}
