//! Synthesis threads, apart from the runtime: a synthesis that spins delays no
//! other connection and no health check.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. Who waits for one waits on the runtime, and
/// leaves the queue by being dropped.
pub(crate) struct Pool {
    free: Arc<Semaphore>,
    jobs: SyncSender<(Work, Slot)>,
}

/// The right to one thread.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel(threads);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name(format!("synthesis-{number}")).spawn(move || work(&receiver))?;
        }
        Ok(Self { free: Arc::new(Semaphore::new(threads)), jobs })
    }

    /// A free thread, if there is one for which nobody waits.
    pub(crate) fn free_slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit })
    }

    /// Waits for a free thread, first come first served. None only if the pool
    /// has broken down.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Slot { _permit: permit })
    }

    /// Runs `work` on the thread that the slot stands for. A panic ends the
    /// work and not the thread.
    pub(crate) fn run(&self, slot: Slot, work: impl FnOnce() + Send + 'static) {
        // There is a place for each slot, so that this neither fails nor waits.
        match self.jobs.try_send((Box::new(work), slot)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                tracing::error!("no synthesis thread takes work");
            }
        }
    }
}

fn work(jobs: &Mutex<Receiver<(Work, Slot)>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((work, slot)) = next else { return };
        // The panic hook has logged it; whoever waits sees its sender dropped.
        _ = catch_unwind(AssertUnwindSafe(work));
        drop(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_work_and_not_the_thread() {
        let pool = Pool::start(1).unwrap();
        for _ in 0..3 {
            let slot = pool.slot().await.unwrap();
            pool.run(slot, || panic!("on purpose"));
        }
        let (done, ended) = tokio::sync::oneshot::channel();
        let slot = pool.slot().await.unwrap();
        pool.run(slot, move || done.send(()).unwrap());
        ended.await.unwrap();
    }
}
