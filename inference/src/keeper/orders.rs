//! What the keeper has been told to do, and what it is doing. The newest order
//! counts: it takes the place of one that has not begun, and has one that is
//! under way end without effect. No I/O.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::Notify;
use ttsfleet_wire::{
    admin::{Headroom, ModelError, Step, SwapOrder, Task},
    model::ModelRecord,
};

use crate::source::StageProgress;

/// What came of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// What it asks for is so.
    Holds,
    /// It has begun, or had already.
    Begun,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    Stage(ModelRecord),
    Swap(SwapOrder),
}

impl Work {
    pub(super) fn record(&self) -> &ModelRecord {
        match self {
            Self::Stage(record) => record,
            Self::Swap(order) => &order.record,
        }
    }
}

/// What is being done.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) progress: StageProgress,
    step: Mutex<Step>,
    is_replaced: AtomicBool,
    replaced: Notify,
}

impl Job {
    pub(super) fn new(work: Work) -> Self {
        Self {
            work,
            progress: StageProgress::default(),
            step: Mutex::new(Step::Staging),
            is_replaced: AtomicBool::new(false),
            replaced: Notify::new(),
        }
    }

    pub(super) fn set_step(&self, step: Step) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn step(&self) -> Step {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a newer order has taken its place.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Relaxed)
    }

    /// Waits until a newer order takes its place.
    pub(super) async fn replaced(&self) {
        self.replaced.notified().await;
    }

    fn replace(&self) {
        self.is_replaced.store(true, Relaxed);
        // Kept for it if it does not wait at this moment.
        self.replaced.notify_one();
    }
}

/// All orders.
#[derive(Default)]
pub(super) struct Orders {
    running: Option<Arc<Job>>,
    swap: Option<SwapOrder>,
    stage: Option<ModelRecord>,
    /// What a revert loads: it gave its place under [`Headroom::DrainFirst`].
    /// Stays when it has been gone back to, so that a second revert finds that
    /// it is served.
    pub(super) given_up: Option<ModelRecord>,
    /// What was to be staged last, until it is served: a swap to it may come.
    candidate: Option<ModelRecord>,
    /// Whether a model has been served since the start.
    pub(super) has_served: bool,
    pub(super) error: Option<ModelError>,
}

impl Orders {
    /// Takes the order to have a model in the store.
    pub(super) fn stage(&mut self, record: ModelRecord, is_staged: bool) -> Taken {
        self.candidate = Some(record.clone());
        let running = self.running.as_ref().filter(|job| !job.is_replaced());
        if running.is_some_and(|job| *job.work.record() == record) {
            self.stage = None;
            return Taken::Begun;
        }
        if is_staged {
            self.stage = None;
            return Taken::Holds;
        }
        if let Some(job) = running.filter(|job| matches!(job.work, Work::Stage(_))) {
            job.replace();
        }
        self.stage = Some(record);
        Taken::Begun
    }

    /// Takes the order to serve a model.
    pub(super) fn swap(&mut self, order: SwapOrder, serving: Option<&ModelRecord>) -> Taken {
        let running = self.running.as_ref().filter(|job| !job.is_replaced());
        match running.map(|job| (job, &job.work)) {
            Some((_, Work::Swap(under_way))) if under_way.record == order.record => {
                self.swap = None;
                return Taken::Begun;
            }
            // It is in the store all the sooner.
            Some((_, Work::Stage(record))) if *record == order.record => {}
            // It comes after; a swap is rather done now.
            Some((job, Work::Stage(record))) => {
                self.stage.get_or_insert_with(|| record.clone());
                job.replace();
            }
            Some((job, Work::Swap(_))) => job.replace(),
            None => {}
        }
        if serving == Some(&order.record) {
            self.swap = None;
            return Taken::Holds;
        }
        self.swap = Some(order);
        Taken::Begun
    }

    /// Takes back every order to serve another model, and answers whether
    /// there was one.
    pub(super) fn stay(&mut self) -> bool {
        let was_ordered = self.swap.take().is_some();
        let swaps = |job: &&Arc<Job>| !job.is_replaced() && matches!(job.work, Work::Swap(_));
        let swap = self.running.as_ref().filter(swaps);
        if let Some(job) = swap {
            job.replace();
        }
        was_ordered || swap.is_some()
    }

    /// The next thing to do, which is then being done.
    pub(super) fn begin(&mut self) -> Option<Arc<Job>> {
        let swap = self.swap.take().map(Work::Swap);
        let work = swap.or_else(|| self.stage.take().map(Work::Stage))?;
        let job = Arc::new(Job::new(work));
        self.running = Some(Arc::clone(&job));
        Some(job)
    }

    /// What was being done is over.
    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// Forgets a failure, once the same thing has succeeded.
    pub(super) fn passed(&mut self, record: &ModelRecord, step: Step) {
        let order = |step: Step| match step {
            Step::Staging => 0,
            Step::Draining => 1,
            Step::Loading => 2,
            Step::WarmingUp => 3,
        };
        let mended = |error: &ModelError| error.record == *record && order(error.step) <= order(step);
        if self.error.as_ref().is_some_and(mended) {
            self.error = None;
        }
    }

    pub(super) fn task(&self) -> Option<Task> {
        let job = self.running.as_ref()?;
        Some(Task {
            record: job.work.record().clone(),
            step: job.step(),
            bytes_done: job.progress.done.load(Relaxed),
            bytes_total: job.progress.total.load(Relaxed),
            trouble: job.progress.trouble(),
        })
    }

    /// Models that somebody waits for, or that may be gone back to.
    pub(super) fn pinned(&self) -> impl Iterator<Item = &ModelRecord> {
        let running = self.running.as_ref().map(|job| job.work.record());
        let swap = self.swap.as_ref().map(|order| &order.record);
        let others = [&self.stage, &self.candidate, &self.given_up].map(Option::as_ref);
        [running, swap].into_iter().chain(others).flatten()
    }

    /// A model that gives its place to another may be gone back to from there;
    /// one that gives it to the model gone back to may not.
    pub(super) fn gives_way(&mut self, old: &ModelRecord, new: &ModelRecord) {
        if self.given_up.as_ref() != Some(new) {
            self.given_up = Some(old.clone());
        }
    }

    /// What was staged for a swap to come has got it.
    pub(super) fn served(&mut self, record: &ModelRecord) {
        if self.candidate.as_ref() == Some(record) {
            self.candidate = None;
        }
    }

    /// Waits no more for a swap to what was staged, unless something is on its
    /// way just now.
    pub(super) fn forget_candidate(&mut self) {
        if self.running.is_none() && self.swap.is_none() && self.stage.is_none() {
            self.candidate = None;
        }
    }

    /// Gives up going back, for a model that needs the room.
    pub(super) fn make_room_for(&mut self, record: &ModelRecord) {
        if self.given_up.as_ref() != Some(record) {
            self.given_up = None;
        }
    }
}

/// The order that undoes a swap by [`Headroom::DrainFirst`].
pub(super) fn back_to(record: ModelRecord) -> SwapOrder {
    SwapOrder { record, headroom: Headroom::DrainFirst }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::slot::tests::record;

    fn swap(version: &str) -> SwapOrder {
        SwapOrder { record: record(version), headroom: Headroom::Overlap }
    }

    /// What is to be done, in order, without doing it.
    fn to_do(orders: &mut Orders) -> Vec<Work> {
        let mut all = Vec::new();
        while let Some(job) = orders.begin() {
            all.push(job.work.clone());
            orders.end();
        }
        all
    }

    #[test]
    fn the_same_order_is_not_begun_twice() {
        let mut orders = Orders::default();
        for _ in 0..2 {
            assert_eq!(orders.swap(swap("2"), Some(&record("1"))), Taken::Begun);
        }
        let job = orders.begin().unwrap();
        assert_eq!(orders.swap(swap("2"), Some(&record("1"))), Taken::Begun);
        assert_eq!(orders.stage(record("2"), false), Taken::Begun, "a swap stages as well");
        assert!(!job.is_replaced());
        orders.end();
        assert_eq!(to_do(&mut orders), []);
        assert_eq!(orders.swap(swap("2"), Some(&record("2"))), Taken::Holds);
        assert_eq!(orders.stage(record("2"), true), Taken::Holds);
    }

    #[test]
    fn the_newest_swap_replaces_those_before() {
        let mut orders = Orders::default();
        orders.swap(swap("2"), Some(&record("1")));
        let job = orders.begin().unwrap();
        orders.swap(swap("3"), Some(&record("1")));
        orders.swap(swap("4"), Some(&record("1")));
        assert!(job.is_replaced());
        assert!(job.replaced().now_or_never().is_some(), "it is told");
        assert_eq!(orders.swap(swap("2"), Some(&record("1"))), Taken::Begun, "it is over all the same");
        orders.end();
        assert_eq!(to_do(&mut orders), [Work::Swap(swap("2"))]);
    }

    #[test]
    fn an_order_to_serve_what_is_served_takes_back_the_one_before() {
        let mut orders = Orders::default();
        orders.swap(swap("2"), Some(&record("1")));
        assert_eq!(orders.swap(swap("1"), Some(&record("1"))), Taken::Holds);
        assert_eq!(to_do(&mut orders), []);
        orders.swap(swap("2"), Some(&record("1")));
        let job = orders.begin().unwrap();
        assert_eq!(orders.swap(swap("1"), Some(&record("1"))), Taken::Holds);
        assert!(job.is_replaced());
    }

    #[test]
    fn a_swap_goes_before_staging_and_loses_none_of_it() {
        let mut orders = Orders::default();
        orders.stage(record("3"), false);
        let job = orders.begin().unwrap();
        orders.swap(swap("2"), Some(&record("1")));
        assert!(job.is_replaced());
        orders.end();
        assert_eq!(to_do(&mut orders), [Work::Swap(swap("2")), Work::Stage(record("3"))]);
        orders.stage(record("2"), false);
        let job = orders.begin().unwrap();
        orders.swap(swap("2"), Some(&record("1")));
        assert!(!job.is_replaced(), "the swap needs it in the store");
    }

    #[test]
    fn staging_takes_no_swap_back() {
        let mut orders = Orders::default();
        orders.swap(swap("2"), None);
        let job = orders.begin().unwrap();
        orders.stage(record("3"), false);
        assert!(!job.is_replaced());
        orders.stage(record("4"), false);
        orders.end();
        assert_eq!(to_do(&mut orders), [Work::Stage(record("4"))]);
    }

    #[test]
    fn staying_takes_swaps_back_and_nothing_else() {
        let mut orders = Orders::default();
        assert!(!orders.stay());
        orders.stage(record("3"), false);
        orders.swap(swap("2"), Some(&record("1")));
        let job = orders.begin().unwrap();
        assert!(orders.stay());
        assert!(job.is_replaced());
        orders.end();
        assert_eq!(to_do(&mut orders), [Work::Stage(record("3"))]);
    }

    #[test]
    fn what_gave_its_place_is_gone_back_to_once() {
        let mut orders = Orders::default();
        let served = |orders: &mut Orders, old: &str, new: &str| {
            orders.gives_way(&record(old), &record(new));
            orders.swap(back_to(orders.given_up.clone().unwrap()), Some(&record(new)))
        };
        assert_eq!(served(&mut orders, "1", "2"), Taken::Begun);
        assert_eq!(orders.begin().unwrap().work, Work::Swap(back_to(record("1"))));
        orders.end();
        assert_eq!(served(&mut orders, "2", "1"), Taken::Holds, "it has been gone back to");
        assert_eq!(served(&mut orders, "1", "3"), Taken::Begun);
    }

    #[test]
    fn what_was_staged_is_waited_for_until_it_is_served_or_forgotten() {
        let pinned = |orders: &Orders| orders.pinned().cloned().collect::<Vec<_>>();
        let mut orders = Orders::default();
        orders.stage(record("2"), true);
        orders.served(&record("1"));
        assert_eq!(pinned(&orders), [record("2")]);
        orders.served(&record("2"));
        assert_eq!(pinned(&orders), []);
        orders.stage(record("3"), true);
        orders.stage(record("4"), false);
        orders.forget_candidate();
        assert_eq!(pinned(&orders), [record("4"), record("4")], "it is on its way");
        to_do(&mut orders);
        orders.forget_candidate();
        assert_eq!(pinned(&orders), []);
    }

    #[test]
    fn a_failure_is_told_until_the_same_thing_succeeds() {
        let mut orders = Orders::default();
        let step = Step::Loading;
        let error = ModelError { record: record("2"), step, message: "bad".into(), transient: false };
        orders.error = Some(error);
        orders.passed(&record("3"), Step::WarmingUp);
        orders.passed(&record("2"), Step::Staging);
        assert!(orders.error.is_some());
        orders.passed(&record("2"), Step::WarmingUp);
        assert_eq!(orders.error, None);
    }
}
